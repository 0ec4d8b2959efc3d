"""Stage 2: the fusion network, the loop that trains it, run directories, and predictions from a run."""
