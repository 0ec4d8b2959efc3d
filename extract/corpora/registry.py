"""Datasets by name."""

from __future__ import annotations

from pathlib import Path

from ...errors import SettingError
from . import generic, marketcalls
from .config import DATASETS, GenericOptions
from .corpus import Corpus


def load_corpus(
    dataset: str, data_dir: Path, options: GenericOptions | None = None, modalities: str = "both"
) -> Corpus:
    """Read and check a corpus; nothing is decoded and nothing written.

    ``options`` are those of the generic corpus. With ``modalities`` audio or text nothing of the other need be there.
    Raises CorpusError, which names file and row.
    """
    options = options or GenericOptions()
    if dataset == "generic":
        return generic.load(Path(data_dir), options, modalities)
    if dataset == "marketcalls":
        if options != GenericOptions(keep_columns=options.keep_columns):
            raise SettingError(
                "columns, labels and splits can be set for --dataset generic only; marketcalls has its own"
            )
        return marketcalls.load(Path(data_dir), options, modalities)
    raise SettingError(f"dataset must be {' or '.join(DATASETS)}, but is {dataset!r}")
