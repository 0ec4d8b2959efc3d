"""``python -m msmt`` is the ``msmt`` command."""

from .cli import main

main()
