"""Stores written in the layouts of other programs, and read from them."""
