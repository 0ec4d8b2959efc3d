"""Layouts by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from ...errors import SettingError, shown

# Every layout, with the file of this folder that writes it: its ``write(layout, folder, random)`` fills a folder that
# is empty but for the README.txt of the demo.
LAYOUTS = {
    "meld": "meld",
    "iemocap": "iemocap",
    "mosi": "label_csv",
    "mosei": "label_csv",
    "sims": "label_csv",
    "simsv2": "label_csv",
    "emodb": "acted",
    "ravdess": "acted",
    "crema-d": "acted",
}


def check_layout(layout: str) -> None:
    """Raises SettingError for a name that no layout has."""
    if layout not in LAYOUTS:
        raise SettingError(f"layout must be {' or '.join(LAYOUTS)}, but is {shown(layout)}")


def write_layout(layout: str, folder: Path, seed: int) -> None:
    """Fill a folder with a corpus; the same seed gives the same bytes."""
    check_layout(layout)
    import_module(f".{LAYOUTS[layout]}", __package__).write(layout, folder, np.random.default_rng(seed))
