"""A trained run as an extractor: what it makes of each segment becomes a feature of the store.

The feature's spec holds the digests of the run's settings and of its weights. A row's identity is the hash of these and
of the checksums of the rows that it was made from: for a segment's own vector the rows of the segment, for the vector of
its context all rows of the recording. So whatever changes of a store, exactly the rows that saw it are made again; a run
of the same settings that was trained anew makes all of them again, and one of other settings is another feature.

A recording goes through the network by itself, in float32: its vectors are to the bit the same, whatever else is stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..errors import DamageError, SettingError
from ..features.durable import explained
from ..features.head import check_name
from ..features.opening import open_store, writer_for
from ..features.rows import MISSING, Row, block_of, identity_of
from ..features.schemes import STANDARD
from ..features.segments import REMOVED
from ..features.spec import LEARNT_BY, RUN, FeatureSpec
from ..features.writer import StoreWriter
from ..progress import Track, silent
from .assembly import vectors
from .binding import check_slots
from .data import Recordings, matching_features, recordings_of
from .devices import choose_device, reproducible
from .models.contract import Trainable
from .predict import EVERYTHING, in_names_of, with_weights
from .runs import Run, Settings
from .stream import Stream

SEGMENT, CONTEXT = "segment", "context"
_ROWS_AT_ONCE = 2048  # that wait for the others of their blocks, at most


@dataclass(frozen=True)
class Embedded:
    """What came of embedding a run."""

    feature: str
    """Name of the feature."""

    width: int
    """Values of each vector; 0 where nothing had to be computed."""

    computed: int
    """Rows that were computed."""

    kept: int
    """Rows that were there already."""

    left_out: int
    """Rows of segments without the features that the run reads; they stay missing."""

    def line(self, path: Path) -> str:
        """``stage1: 96 rows computed, 0 kept, in cache/demo.zarr``"""
        left = f", {self.left_out:,} left out, for they lack features that the run reads" if self.left_out else ""
        return f"{self.feature}: {self.computed:,} rows computed, {self.kept:,} kept, in {path}{left}"


def embed(
    run: Run,
    store_path: Path,
    name: str,
    source: str = SEGMENT,
    overwrite: bool = False,
    device: str | None = None,
    track: Track = silent,
) -> Embedded:
    """Write the vectors of a run's best weights for all segments of a store into it, as the feature ``name``.

    ``source`` is ``segment`` for what the network makes of each segment alone, or ``context`` for what it makes of it
    within its recording. Rows that are there, made of the same, stay; a killed call goes on where it stopped.

    Raises StoreError when the store's features were made otherwise than those of the run, or it has the feature made by
    other settings and may not ``overwrite`` it, RunError for a run without weights, SettingError for an odd name.
    """
    settings, weights = run.settings, run.load_best()
    store = open_store(store_path)
    try:
        check_name(name)
    except DamageError as error:
        raise SettingError(f"{error}: give another with --name") from error
    features = matching_features(store, {own: own for own in settings.features}, settings.specs)
    if name in features.values():
        raise SettingError(f"{name} is a feature that run {run.name} reads: give its vectors another --name")
    model = with_weights(run, settings, weights).eval()
    recordings = _recordings(store, features)
    slots = in_names_of(settings.slots, features)
    check_slots(store, settings.model, slots, np.concatenate(recordings.rows))
    target = choose_device(device or settings.train.device)
    maker = _Maker(model.to(target), settings, features, source, target)
    digest = _digest_of(settings, weights)
    spec = _spec_of(run, store, settings, features, digest, source, maker.width_for(store, recordings))
    wanted = _identities(store, recordings, features, digest, source)
    if name in store.specs and (phrases := _differences_but_weights(store.specs[name], spec)) and not overwrite:
        raise store.mismatch({name: phrases})
    stale = _stale(store, name, spec, wanted)
    there = (store.segments["split"] != REMOVED).to_numpy()
    left_out = int((there & (wanted == 0)).sum())
    kept = int((wanted != 0).sum()) - int((stale & (wanted != 0)).sum())
    computed = int((stale & (wanted != 0)).sum())
    is_there = name in store.specs and not store.specs[name].differences(spec)
    if is_there and not stale.any() and store.is_finished:
        return Embedded(name, spec.width, 0, kept, left_out)
    with writer_for(store_path) as writer, explained(Path(store_path)):
        lengths = np.where(wanted != 0, 1, 0)
        # What may not be overwritten was refused above; other weights alone leave every row stale.
        writer.prepare(store.dataset, store.tasks, store.segments, {name: spec}, {name: lengths}, overwrite=True)
        now = replace(recordings, store=writer.store)
        with track(f"embed {run.name}", total=computed, unit="segments") as advance:
            _write(writer, name, maker.vectors_of(now, stale), wanted, stale, advance)
        writer.finish()
    return Embedded(name, spec.width, computed, kept, left_out)


class _Maker:
    """The network, and how it is read for."""

    def __init__(
        self, model: Trainable, settings: Settings, features: Mapping[str, str], source: str, device: torch.device
    ) -> None:
        self._model, self._features, self._device = model, dict(features), device
        self._config = replace(settings.train, cache_in="none")  # everything is read once
        self._seed, self._in_context = settings.train.seed, source == CONTEXT

    def width_for(self, store, recordings: Recordings) -> int:
        """Values of a vector, from the shortest recording. Raises SettingError where there are none to be had."""
        shortest = int(np.argmin([len(rows) for rows in recordings.rows]))
        return len(next(self._vectors(recordings, [shortest]))[1][0])

    def vectors_of(self, recordings: Recordings, stale: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers and (S, d) vectors of each recording that has a stale row."""
        return self._vectors(recordings, [i for i, rows in enumerate(recordings.rows) if stale[rows].any()])

    def _vectors(self, recordings: Recordings, which: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        groups = [np.array([i]) for i in which]
        stream = Stream(recordings.store, self._features, [recordings], self._device, self._config)
        with stream, torch.no_grad(), reproducible(self._device, self._seed):
            for group, batch in zip(groups, stream.batches(recordings, groups), strict=True):
                made = vectors(self._model, batch, self._in_context)
                yield recordings.rows[group[0]], made.float().cpu().numpy()


def _recordings(store, features: Mapping[str, str]) -> Recordings:
    """All segments of a store that have the features, in all their views."""
    views = tuple(dict.fromkeys(store.segments["view"]))
    return recordings_of(store, EVERYTHING, features, True, views, tasks=(), per_segment=True)


def _differences_but_weights(there: FeatureSpec, spec: FeatureSpec) -> list[str]:
    """How the feature that is there was made otherwise, though a run was only trained anew."""
    return there.differences(replace(spec, weights=there.weights))


def _digest_of(settings: Settings, weights: Mapping[str, torch.Tensor]) -> str:
    """Hash of a network: its weights, and the settings that they are put to use by."""
    digest = hashlib.sha256(_digest_of_settings(settings).encode())
    for name in sorted(weights):
        digest.update(f"{name} {tuple(weights[name].shape)}".encode())
        digest.update(weights[name].contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _digest_of_settings(settings: Settings) -> str:
    """Hash of a network's sizes and switches, and of how many features each of its slots takes."""
    slots = [[slot, len(names)] for slot, names in settings.slots.items()]
    says = [settings.to_json()["network"], settings.to_json()["model"], slots]
    return hashlib.sha256(json.dumps(says).encode()).hexdigest()[:32]


def _spec_of(
    run: Run, store, settings: Settings, features: Mapping[str, str], digest: str, source: str, width: int
) -> FeatureSpec:
    modalities = {settings.specs[name].modality for name in settings.features}
    recipes = {view: recipe for name in features.values() for view, recipe in store.specs[name].views.items()}
    made_of = {name: settings.specs[name].of_originals.fingerprint for name in settings.features}
    options = {"vector": source, "made_of": sorted(made_of.values()), "settings": _digest_of_settings(settings)}
    if settings.train.scheme != STANDARD:
        options[LEARNT_BY] = settings.train.scheme
    return FeatureSpec(
        modality=modalities.pop() if len(modalities) == 1 else "both",
        encoder=run.name,
        encoder_class=settings.model.network,
        weights=digest,
        width=width,
        max_rows=1,
        dtype="float32",
        views=recipes,
        kind=RUN,
        unit="vector",
        options=options,
    )


def _identities(store, recordings: Recordings, features: Mapping[str, str], digest: str, source: str) -> np.ndarray:
    """(N,) what each row of the feature should be made from; 0 for rows that cannot be made."""
    checksums = np.stack([store.states(name).checksum for name in features.values()], axis=1)  # (N, features)
    speakers = store.segments["speaker"].to_numpy(object)
    identities = np.zeros(len(store.segments), np.uint64)
    for rows in recordings.rows:
        parts = [",".join(f"{checksum:016x}" for checksum in checksums[row].tolist()) for row in rows]
        if source == SEGMENT:
            identities[rows] = [identity_of(digest, source, part) for part in parts]
        else:
            known: dict[str, int] = {}
            turns = [str(known.setdefault(speaker, len(known))) if speaker else "" for speaker in speakers[rows]]
            whole = [digest, source, *parts, *turns]
            identities[rows] = [identity_of(*whole, str(place)) for place in range(len(rows))]
    return identities


def _stale(store, name: str, spec: FeatureSpec, wanted: np.ndarray) -> np.ndarray:
    """(N,) rows that are to be made, or to be marked missing since they no longer can be."""
    if name not in store.specs or store.specs[name].differences(spec):
        return wanted != 0
    states = store.states(name)
    is_there = states.length != MISSING
    present = (store.segments["split"] != REMOVED).to_numpy()
    return present & np.where(wanted != 0, ~is_there | (states.identity != wanted), is_there)


def _write(
    writer: StoreWriter,
    name: str,
    made: Iterator[tuple[np.ndarray, np.ndarray]],
    wanted: np.ndarray,
    stale: np.ndarray,
    advance,
) -> None:
    """Commit block by block, each as soon as all of its rows are there."""
    waiting: dict[int, dict[int, Row | None]] = {}
    left: dict[int, int] = {}  # rows that each block still waits for
    for row in np.flatnonzero(stale & (wanted != 0)).tolist():
        left[block_of(row)] = left.get(block_of(row), 0) + 1
    for row in np.flatnonzero(stale & (wanted == 0)).tolist():
        waiting.setdefault(block_of(row), {})[row] = None

    def commit(block: int) -> None:
        rows = waiting.pop(block)
        writer.commit(name, block, rows)
        advance(sum(row is not None for row in rows.values()))

    for rows, values in made:
        for row, value in zip(rows.tolist(), values, strict=True):
            if stale[row]:
                block = block_of(row)
                waiting.setdefault(block, {})[row] = Row(value[None].copy(), int(wanted[row]))
                left[block] -= 1
        for block in [each for each in waiting if not left.get(each)]:
            commit(block)
        if sum(map(len, waiting.values())) > _ROWS_AT_ONCE:  # of recordings that lie far apart
            for block in list(waiting):
                commit(block)
    for block in list(waiting):
        commit(block)
