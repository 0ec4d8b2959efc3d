"""Stage 1: corpora become segments, segments become features, features go into a store."""
