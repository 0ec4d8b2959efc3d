"""What is cached and how it is read back: tasks, segments, feature specs, and the store."""
