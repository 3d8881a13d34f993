"""What is kept of a person in a flow: found, erased, looked for again, and noted in a trail that tells of changes."""
