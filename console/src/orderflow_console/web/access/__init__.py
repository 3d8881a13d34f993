"""Who may do what in the console: how people log in, what their session is, and which role each page asks for."""
