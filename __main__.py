"""``python -m msmt`` is the ``msmt`` command."""

import sys

try:
    from .cli import main
except KeyboardInterrupt:
    sys.exit(130)
main()
