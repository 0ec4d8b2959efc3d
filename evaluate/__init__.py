"""Metrics, reports and comparisons of what trained models predict."""
