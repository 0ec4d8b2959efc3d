"""Labels that small encoders can learn within seconds, and runs that learn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msmt.extract.corpora.config import CorpusOptions, GenericOptions
from msmt.extract.finetuning.config import FinetuneOptions
from msmt.extract.sound.silence import SilenceOptions
from msmt.studies.finetuning import Asked, begin

WORDS = {"negative": ("no", "bye", "price"), "neutral": ("the", "a", "agent"), "positive": ("yes", "thanks", "hello")}
QUICK = {"epochs": 3, "batch": 8, "learning_rate": 2e-3}


def write_labels(path: Path, rows: int = 48, seed: int = 0) -> Path:
    """A csv of short texts whose words say what their labels are."""
    random = np.random.default_rng(seed)
    lines = ["text,label"]
    for number in range(rows):
        label = list(WORDS)[number % len(WORDS)]
        lines.append(f"{' '.join(random.choice(WORDS[label], 3))},{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def asked(encoder: Path, csv: Path | None = None, generic: dict | None = None, **options) -> Asked:
    """A run on a csv of texts, or on a corpus in the MarketCalls layout below data/."""
    generic = GenericOptions(**({"csv": str(csv)} if csv else {}) | (generic or {}))
    chosen = FinetuneOptions(**{"encoder": str(encoder), **QUICK, **options})
    return Asked("" if csv else "marketcalls", "", "label", chosen, SilenceOptions(), generic, CorpusOptions())


def finetuned(folder: Path, encoder: Path, csv: Path | None = None, name: str = "run", **options):
    """The result of a run in ``folder``/runs."""
    return begin(asked(encoder, csv, **options), folder / "runs", name)
