"""msmt: classify recorded conversations from speech and text together."""

from .threads import wait_passively

__version__ = "0.1.0"

wait_passively()
