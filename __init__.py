"""msmt: classify recorded conversations from speech and text together."""

__version__ = "0.1.0"
