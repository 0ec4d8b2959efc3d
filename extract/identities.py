"""What a row is made from, as one number: rows of one feature with the same identity have the same values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from ..features.segments import REMOVED
from ..features.spec import FeatureSpec
from ..features.store import identity_of
from ..progress import Track
from .digests import file_digest
from .extractors.contract import Material

_THREADS = 2  # that hash files


def audio_identities(material: Material, spec: FeatureSpec) -> np.ndarray:
    """(N,) uint64: what each row of an audio feature should be made from; 0 for rows of removed segments."""
    identities, made_by = np.zeros(len(material.table), np.uint64), spec.of_originals.fingerprint
    for row in material.present:
        segment = material.table.iloc[row]
        identities[row] = audio_identity(made_by, spec.views, segment, material.digest_of(segment["audio"]))
    return identities


def audio_identity(made_by: str, recipes: Mapping[str, Mapping], segment: pd.Series, digest: str) -> int:
    """The hash of what a row of an audio feature is made from.

    ``made_by`` is the fingerprint of the feature's spec without its views, ``recipes`` are the views, ``digest`` is the
    audio file's. A view that leaves the audio as it is has the original's identity. In a text feature the altered
    transcript itself says what a row is made from, and one in which nothing was replaced has the original's.
    """
    where = (str(segment[name]) for name in ("start", "end", "channel"))
    recipe = recipes.get(segment["view"])
    view = (json.dumps(recipe, sort_keys=True), segment["segment_id"], segment["view"]) if recipe else ()
    return identity_of(made_by, digest, *where, *view)


def text_identities(material: Material, spec: FeatureSpec) -> np.ndarray:
    """(N,) uint64: the same for a feature that each segment's own transcript decides."""
    identities, made_by = np.zeros(len(material.table), np.uint64), spec.of_originals.fingerprint
    for row in material.present:
        identities[row] = identity_of(made_by, material.table["text"].iloc[row])
    return identities


class Digests:
    """The digest of each audio file's bytes by its path; all are taken when the first is asked for.

    A file that cannot be read has a digest of its own, which no row was ever made from.
    """

    def __init__(self, root: Path, files: Sequence[str], track: Track) -> None:
        self._root, self._files, self._track = root, files, track
        self._known: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if not self._known:
            self._known = self._all()
        return self._known[path]

    def _all(self) -> dict[str, str]:
        digests = {}
        with (
            self._track("checking audio files", total=len(self._files), unit="files") as advance,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            for path, digest in zip(self._files, pool.map(self._one, self._files), strict=True):
                digests[path] = digest
                advance(1)
        return digests

    def _one(self, path: str) -> str:
        try:
            return file_digest(self._root / path)
        except OSError:
            return f"unreadable: {path}"


def material_of(root: Path, table: pd.DataFrame, track: Track) -> Material:
    """What there is to make features of the rows of a store's segment table from."""
    present = table["audio"][table["split"] != REMOVED]
    return Material(root, table, Digests(root, sorted(set(present)), track))
