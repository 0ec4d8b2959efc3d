"""Stage 2: networks, the loop that trains them, run directories, and what a run says of recordings."""
