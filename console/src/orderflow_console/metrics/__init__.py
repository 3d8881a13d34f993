"""What services say of themselves, and what that makes of the flow's arrows."""
