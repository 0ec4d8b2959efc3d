"""How far the features that are computed and stored lie from the definition, on the user's own segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import AudioError
from ..features.opening import open_store
from ..features.rows import MISSING
from ..features.segments import ORIGINAL
from ..features.spec import FeatureSpec
from ..progress import silent
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .extractors.contract import Extractor, Loaded, Material
from .making import made_extractors
from .material import material_of
from .sound.silence import SilenceOptions
from .wanted import check_channel


@dataclass(frozen=True)
class Distance:
    """How far one way of computing a feature lies from its definition."""

    feature: str
    way: str
    largest: float
    """Largest absolute difference of a value."""

    cosine: float
    """Mean cosine between the vectors of a frame or token."""

    size: float
    """Mean absolute value by the definition, to hold the difference against."""


def examine(
    corpus: Corpus,
    store: Path,
    config: ExtractConfig,
    segments: int = 4,
    silence: SilenceOptions = SilenceOptions(),  # noqa: B008  frozen
    say: Callable[[str], None] = lambda line: None,
) -> list[Distance]:
    """Compare, on some segments spread over the corpus: the definition (each alone, padded, float32), the
    computation of valid rows in a batch (float32), the chosen precision, and what the store holds.

    Raises AudioError when none of the segments can be decoded.
    """
    check_channel(corpus, config)
    chosen = made_extractors(config, store, silence, dataset=corpus.name)
    exact = made_extractors(replace(config, precision="float32"), store, silence, dataset=corpus.name)
    for remark in chosen.remarks:
        say(remark)
    material = material_of(corpus.root, corpus.table, silent)
    for remark in chosen.remarks_on(material):
        say(remark)
    picked = np.unique(np.linspace(0, len(corpus.table) - 1, segments).astype(int))
    distances = []
    for one, other in zip(chosen, exact, strict=True):
        distances += _compare(one, other, _loaded(one, material, picked), store)
    return distances


def _loaded(extractor: Extractor, material: Material, picked: Sequence[int]) -> dict[str, Loaded]:
    """What an extractor is given of each of the segments that can be loaded, by segment id."""
    loaded = {}
    for row in picked:
        call, arguments = extractor.job(material, int(row))
        got = call(*arguments)
        if not isinstance(got, AudioError):
            loaded[material.table["segment_id"].iloc[row]] = got
    if not loaded:
        raise AudioError(f"none of {len(picked)} segments picked from the corpus can be decoded; msmt extract says why")
    return loaded


def table_of(distances: Sequence[Distance]) -> str:
    """The same for the screen."""
    width = max(12, 2 + max(len(one.feature) for one in distances))
    lines = [f"{'feature':<{width}}{'compared with the definition':<44}{'largest difference':>20}{'mean cosine':>14}"]
    for one in distances:
        lines.append(f"{one.feature:<{width}}{one.way:<44}{one.largest:>20.2e}{one.cosine:>14.6f}")
    sizes = {one.feature: one.size for one in distances}
    shown = ", ".join(f"{name} {size:.2f}" for name, size in sizes.items())
    return "\n".join([*lines, f"definition: each segment alone, padded, float32; its values average {shown} in size"])


def _compare(chosen: Extractor, exact: Extractor, inputs: dict[str, Loaded], store: Path) -> list[Distance]:
    defined = [exact.define(one) for one in inputs.values()]
    together, extracted = exact.encode(list(inputs.values())), chosen.encode(list(inputs.values()))
    distances = []
    for name, spec in chosen.specs.items():
        values = [one[name] for one in extracted]
        ways = {"float32, valid rows, in a batch": [one[name] for one in together]}
        ways[f"{spec.precision}, as extracted"] = values
        if spec.dtype == "float16":
            ways["the same, rounded to float16"] = [one.half() for one in values]
        ways.update(_stored(name, inputs, spec, store))
        definition = [one[name].cpu() for one in defined]
        distances += [_distance(name, way, got, definition) for way, got in ways.items()]
    return distances


def _stored(feature: str, inputs: dict, spec: FeatureSpec, store: Path) -> dict[str, list[Tensor]]:
    if not store.exists():
        return {}
    there = open_store(store)
    if feature not in there.specs or there.specs[feature].differences(spec):
        return {}
    originals = there.segments["segment_id"][there.segments["view"] == ORIGINAL]
    rows = {name: row for row, name in originals.items()}
    if any(name not in rows or there.lengths(feature)[rows[name]] == MISSING for name in inputs):
        return {}
    return {f"in {store.name}": [torch.from_numpy(there.read(feature, rows[name])) for name in inputs]}


def _distance(feature: str, way: str, values: Sequence[Tensor], defined: Sequence[Tensor]) -> Distance:
    got = [one.float().cpu() for one in values]
    if any(one.shape != other.shape for one, other in zip(got, defined, strict=True)):
        return Distance(feature, f"{way} (other lengths!)", float("inf"), 0.0, 0.0)
    together, reference = torch.cat(got), torch.cat(list(defined))
    return Distance(
        feature,
        way,
        largest=float((together - reference).abs().max()),
        cosine=float(torch.nn.functional.cosine_similarity(together, reference, dim=-1).mean()),
        size=float(reference.abs().mean()),
    )
