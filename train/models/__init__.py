"""The networks: one contract, what they share, and one file per network."""
