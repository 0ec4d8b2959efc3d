"""What a text encoder sees of a segment: its own text, or a window of turns of the conversation up to it.

A window is the segment's own turn and those before it in the same recording, oldest first. Its tokens are the opening
special token, the turns' tokens with the tokenizer's separator between them, and the closing one; all of one segment in
the sense of BERT's token types. Who speaks is written before each turn as ``s1:``, ``s2:``, …, numbered in the order in
which speakers first appear in the window: plain text, which every tokenizer can split and every frozen encoder knows,
where added tokens would need embeddings that nobody has trained. A turn whose speaker is not known has none.

Turns that came before are always as recorded; the segment's own is as its view has it. A window that has more tokens
than the longest input loses its oldest turns, whole ones, until it fits; if its own turn alone does not, this is cut at
its end. So a row depends on the turns that are in its window, and on no others.

Letters in shapes: N rows of a store.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...errors import EncoderError
from ...features.segments import ORIGINAL
from .contract import Material

FORM = "oldest first, divided by the separator, s1: s2: before what speakers say; oldest turns cut"  # as specs say it


@dataclass(frozen=True)
class Given:
    """What the encoder is given of one segment."""

    text: str
    """All that the tokens follow from: the segment's text, or the turns of its window as JSON."""

    tokens: tuple[int, ...]
    """Token ids, special ones included, at most as many as the longest input has."""

    is_cut: bool
    """Whether there was more: an earlier turn, or the end of its own."""


def nobody_known(material: Material, features: Iterable[str]) -> tuple[str, ...]:
    """A remark on features that say who speaks, where the corpus says it of no segment; none where it does."""
    known = material.table["speaker"].iloc[material.present] != ""
    if known.any() or not len(known):
        return ()
    return (f"{', '.join(features)}: the corpus says of no segment who speaks, so turns have no s1:, s2:, …",)


class Inputs(ABC):
    """What the encoder is given of every segment; found out once for a table."""

    def __init__(self) -> None:
        self._material: Material | None = None
        self._given: dict[int, Given] = {}

    def of(self, material: Material) -> dict[int, Given]:
        """By row, for all rows whose segments are still in the corpus."""
        if material is not self._material:
            self._given, self._material = self._given_of(material.table, material.present), material
        return self._given

    def cut_rows(self, material: Material) -> np.ndarray:
        """(N,) bool: segments of which there was more than the encoder is given."""
        cut = np.zeros(len(material.table), bool)
        for row, given in self.of(material).items():
            cut[row] = given.is_cut
        return cut

    @abstractmethod
    def _given_of(self, table: pd.DataFrame, rows: np.ndarray) -> dict[int, Given]:
        """By row, for these rows of a segment table."""


class OwnTexts(Inputs):
    """Each segment's own text, as its view has it."""

    def __init__(self, tokenize: Callable[[Sequence[str]], list[list[int]]], cut: Callable[[list[int]], list[int]]):
        """``cut`` shortens token ids to the longest input."""
        super().__init__()
        self.tokenize, self.cut = tokenize, cut

    def _given_of(self, table: pd.DataFrame, rows: np.ndarray) -> dict[int, Given]:
        texts = table["text"].iloc[rows].tolist()
        distinct, known = list(dict.fromkeys(texts)), {}
        for text, tokens in zip(distinct, self.tokenize(distinct), strict=True):
            cut = self.cut(tokens)
            known[text] = Given(text, tuple(cut), len(cut) < len(tokens))
        return {row: known[text] for row, text in zip(rows.tolist(), texts, strict=True)}


class Windows(Inputs):
    """Windows of so many turns at most."""

    def __init__(self, tokenizer, most_tokens: int, turns: int, speakers: bool, source: str) -> None:
        """Raises EncoderError when the tokenizer, of the encoder ``source``, has nothing to divide turns with."""
        super().__init__()
        self.tokenizer, self.turns, self.speakers = tokenizer, turns, speakers
        self.opening, self.closing = _special_tokens(tokenizer, source)
        self.room = most_tokens - len(self.opening) - len(self.closing)
        if self.room < 1:
            raise EncoderError(f"{source}: {most_tokens} tokens have no room beside the special ones; raise tokens")
        if turns > 1 and tokenizer.sep_token_id is None:
            raise EncoderError(f"{source}: its tokenizer has no separator, which turns of context need; use turns 1")
        self.separator = [tokenizer.sep_token_id]
        self._known: dict[str, list[int]] = {}

    def _given_of(self, table: pd.DataFrame, rows: np.ndarray) -> dict[int, Given]:
        said = table["text"].tolist(), table["speaker"].tolist()
        candidates = {row: list(self._turns(*said, seen)) for row, seen in self._seen(table, rows)}
        self._split({turn for several in candidates.values() for turns in several for turn in turns})
        return {row: self._fitting(several) for row, several in candidates.items()}

    def _seen(self, table: pd.DataFrame, rows: np.ndarray) -> Iterator[tuple[int, list[int]]]:
        """Each row, and the rows whose turns it may see, oldest first, itself last."""
        recordings, indices = table["recording_id"].tolist(), table["index"].tolist()
        views = table["view"].tolist()
        of_recording: dict[str, list[tuple[int, int]]] = {}
        for row in rows.tolist():
            if views[row] == ORIGINAL:
                of_recording.setdefault(recordings[row], []).append((indices[row], row))
        for turns in of_recording.values():
            turns.sort()
        for row in rows.tolist():
            earlier = of_recording.get(recordings[row], [])
            place = bisect_left(earlier, (indices[row],))
            yield row, [other for _, other in earlier[max(0, place - self.turns + 1) : place]] + [row]

    def _turns(self, texts: list[str], names: list[str], seen: Sequence[int]) -> Iterator[tuple[str, ...]]:
        """The texts of a window, with speakers if wanted, and of those that lack its oldest turns."""
        texts, names = [texts[row] for row in seen], [names[row] for row in seen]
        for start in range(len(seen)):
            if not self.speakers:
                yield tuple(texts[start:])
                continue
            numbers = {name: place for place, name in enumerate(dict.fromkeys(filter(None, names[start:])), start=1)}
            labels = (f"s{numbers[name]}: " if name else "" for name in names[start:])
            yield tuple(label + text for label, text in zip(labels, texts[start:], strict=True))

    def _split(self, turns: set[str]) -> None:
        """Split texts that were not met before into tokens, without special ones."""
        new = sorted(turns - self._known.keys())
        if new:
            ids = self.tokenizer(new, add_special_tokens=False, verbose=False)["input_ids"]
            self._known.update(zip(new, ids, strict=True))

    def _fitting(self, candidates: Sequence[tuple[str, ...]]) -> Given:
        """The longest window that fits; the own turn alone, cut at its end, where none does."""
        for turns in candidates:
            tokens = list(self._known[turns[0]])
            for turn in turns[1:]:
                tokens += self.separator + self._known[turn]
            if len(tokens) <= self.room:
                break
        is_cut = len(turns) < len(candidates) or len(tokens) > self.room
        return Given(json.dumps(turns), (*self.opening, *tokens[: self.room], *self.closing), is_cut)


def _special_tokens(tokenizer, source: str) -> tuple[list[int], list[int]]:
    """The special tokens that open and close an input."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(whole)):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    raise EncoderError(f"{source}: its tokenizer does not put its special tokens around a text; use turns 1")
