"""Windows over the segments of recordings: what stands before a segment, and itself if wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..rows import Rows


def before_each(rows: Rows, segments: Sequence[int], most: int) -> Rows:
    """For each segment the rows of the ``most`` segments before it in its recording, which may be none."""
    return _gathered(rows, [range(first, own) for first, own in _firsts(segments, most)])


def up_to_each(rows: Rows, segments: Sequence[int], turns: int) -> Rows:
    """For each segment its own rows behind those of the segments before it, ``turns`` segments at most."""
    return _gathered(rows, [range(first, own + 1) for first, own in _firsts(segments, turns - 1)])


def _firsts(segments: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """For each segment the first of the ``most`` before it in its recording, and itself."""
    begin = 0
    for count in segments:
        for own in range(begin, begin + count):
            yield max(begin, own - most), own
        begin += count


def _gathered(rows: Rows, windows: Sequence[range]) -> Rows:
    starts = torch.tensor([0, *rows.lengths]).cumsum(0).tolist()
    places = [torch.arange(starts[window.start], starts[window.stop]) for window in windows]
    lengths = tuple(starts[window.stop] - starts[window.start] for window in windows)
    return Rows(rows.values.index_select(0, torch.cat(places).to(rows.values.device)), lengths)
