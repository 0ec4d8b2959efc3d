"""What makes features: one contract, and one file per kind."""
