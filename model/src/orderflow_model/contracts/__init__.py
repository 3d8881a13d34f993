"""What a flow's events promise, and which changes break it: judged alike by `orderflow contracts` and the operator."""
