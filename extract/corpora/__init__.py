"""Corpora as their users have them after download, turned into one segment table."""
