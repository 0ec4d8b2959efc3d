"""How far the features that are computed and stored lie from the definition, on the user's own segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import AudioError
from ..features.opening import open_store
from ..features.rows import MISSING
from ..features.segments import ORIGINAL
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .pipeline import Encoders, load_encoders, tokenized
from .sound.inputs import load_input
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
    chosen = load_encoders(config, store, silence, dataset=corpus.name)
    exact = load_encoders(replace(config, precision="float32"), store, silence, dataset=corpus.name)
    for remark in chosen.remarks:
        say(remark)
    picked = corpus.table.iloc[np.unique(np.linspace(0, len(corpus.table) - 1, segments).astype(int))]
    distances = []
    if exact.audio:
        samples = _samples_of(corpus, picked, exact)
        ways = exact.audio.encode_padded, exact.audio, chosen.audio
        distances += _compare(chosen.audio_feature, samples, *ways, store)
    if exact.text:
        ids = tokenized(exact.text, picked)
        texts = zip(picked["segment_id"], picked["text"], strict=True)
        tokens = {name: exact.text.cut(ids[text]) for name, text in texts}
        distances += _compare(chosen.text_feature, tokens, exact.text.encode_alone, exact.text, chosen.text, store)
    return distances


def _samples_of(corpus: Corpus, picked: pd.DataFrame, encoders: Encoders) -> dict[str, np.ndarray]:
    """What the encoder is given of each of the segments that can be decoded, by segment id."""
    audio = encoders.audio
    loaded = {
        row["segment_id"]: load_input(corpus.root, row, audio.spec, encoders.remover) for _, row in picked.iterrows()
    }
    samples = {name: one.samples for name, one in loaded.items() if not isinstance(one, AudioError)}
    samples = {name: one for name, one in samples.items() if audio.frames(len(one))}
    if not samples:
        raise AudioError(f"none of {len(picked)} segments picked from the corpus can be decoded; msmt extract says why")
    return samples


def table_of(distances: Sequence[Distance]) -> str:
    """The same for the screen."""
    width = max(12, 2 + max(len(one.feature) for one in distances))
    lines = [f"{'feature':<{width}}{'compared with the definition':<44}{'largest difference':>20}{'mean cosine':>14}"]
    for one in distances:
        lines.append(f"{one.feature:<{width}}{one.way:<44}{one.largest:>20.2e}{one.cosine:>14.6f}")
    sizes = {one.feature: one.size for one in distances}
    shown = ", ".join(f"{name} {size:.2f}" for name, size in sizes.items())
    return "\n".join([*lines, f"definition: each segment alone, padded, float32; its values average {shown} in size"])


def _compare(feature: str, inputs: dict, define: Callable, exact, chosen, store: Path) -> list[Distance]:
    defined = [define(one).cpu() for one in inputs.values()]
    batch = list(inputs.values())
    ways = {"float32, valid rows, in a batch": exact.encode(batch)}
    ways[f"{chosen.spec.precision}, as extracted"] = chosen.encode(batch)
    ways["the same, rounded to float16"] = [values.half() for values in chosen.encode(batch)]
    ways.update(_stored(feature, inputs, chosen, store))
    return [_distance(feature, way, values, defined) for way, values in ways.items()]


def _stored(feature: str, inputs: dict, chosen, store: Path) -> dict[str, list[Tensor]]:
    if not store.exists():
        return {}
    there = open_store(store)
    if feature not in there.specs or there.specs[feature].differences(chosen.spec):
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
