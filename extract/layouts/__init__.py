"""Small synthetic corpora in exactly the layouts in which public ones come after download."""
