"""Training and evaluation together: the command line calls these; they know both halves, which do not know each other."""
