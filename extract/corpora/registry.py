"""Datasets by name."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path

from ...errors import SettingError, shown
from . import generic, marketcalls
from .config import DATASETS, FILES, CorpusOptions, GenericOptions
from .contract import Adapter
from .corpus import Corpus
from .reading import corpus_of

_OWN_LOADERS = {"generic": generic, "marketcalls": marketcalls}  # they refuse whatever is not in order


def adapter_of(dataset: str) -> Adapter | None:
    """The adapter of a public corpus; None for what is read by a loader of its own.

    Raises SettingError for a name that no dataset has.
    """
    if dataset not in FILES:
        raise SettingError(f"dataset must be {' or '.join(DATASETS)}, but is {shown(dataset)}")
    if dataset in _OWN_LOADERS:
        return None
    return import_module(f".{FILES[dataset]}", __package__).ADAPTERS[dataset]


def lengths_of(dataset: str) -> dict[str, float]:
    """The longest inputs that papers on a dataset take, by the option's name; none where what holds for all does."""
    adapter = adapter_of(dataset)
    lengths = {"max_seconds": adapter.max_seconds, "max_tokens": adapter.max_tokens} if adapter else {}
    return {name: longest for name, longest in lengths.items() if longest}


def load_corpus(
    dataset: str,
    data_dir: Path,
    options: GenericOptions | None = None,
    modalities: str = "both",
    of_corpus: CorpusOptions | None = None,
) -> Corpus:
    """Read and check a corpus; nothing is decoded and nothing written.

    ``options`` are those of the generic corpus, ``of_corpus`` those of the public ones. With ``modalities`` audio or text
    nothing of the other need be there. Raises CorpusError, which names file and row.
    """
    options, of_corpus = options or GenericOptions(), of_corpus or CorpusOptions()
    adapter = adapter_of(dataset)
    _check_known(dataset, of_corpus, adapter.options if adapter else ())
    if dataset == "generic":
        return generic.load(Path(data_dir), options, modalities)
    kept = ("keep_columns",) if dataset == "marketcalls" else ()
    if options != GenericOptions(**{name: getattr(options, name) for name in kept}):
        raise SettingError(f"columns, labels and splits can be set for --dataset generic only; {dataset} has its own")
    if adapter is None:
        return marketcalls.load(Path(data_dir), options, modalities)
    return corpus_of(adapter.read(Path(data_dir), of_corpus), modalities)


def _check_known(dataset: str, options: CorpusOptions, known: tuple[str, ...]) -> None:
    for each in dataclasses.fields(options):
        if each.name not in known and getattr(options, each.name) != each.default:
            raise SettingError(f"{dataset} knows no --{each.name.replace('_', '-')}; leave it out")
