"""What a flow's events promise, written for other tools and for people, and compared with what was promised before."""
