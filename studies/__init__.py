"""Training and evaluation together: the command line calls these; both halves do not know each other."""
