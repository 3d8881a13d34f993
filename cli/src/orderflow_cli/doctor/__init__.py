"""What has to be there for a flow to run, looked at piece by piece, each with how to mend it."""
