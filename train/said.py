"""What a run says of its epochs: a line for the screen, curves for TensorBoard, and why a number is none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from ..features.schemes import STANDARD
from ..features.spec import LEARNT_BY, RUN, FeatureSpec
from ..shown import as_line
from . import runs
from .config import TrainConfig
from .data import Recordings, read_batch

_MUCH_WAITING = 0.03  # share of an epoch's time, above which it is worth a word


def counted(recordings: Recordings) -> str:
    """``59 recordings (203 segments)``, or ``59 recordings in 5 views, 295 in all (1,015 segments)``."""
    different = len(set(recordings.ids))
    views = set(recordings.store.segments["view"].to_numpy()[np.concatenate(recordings.rows)])
    altered = f" in {len(views)} views, {len(recordings):,} in all" if len(views) > 1 else ""
    return f"{different:,} recording{'s' if different != 1 else ''}{altered} ({recordings.segments:,} segments)"


@contextmanager
def tensorboard(run: runs.Run, first_epoch: int) -> Iterator:
    from torch.utils.tensorboard import SummaryWriter

    # Epochs that were written but not saved before an interruption are written again: hide the old ones.
    with SummaryWriter(str(run.path), purge_step=first_epoch if first_epoch > 1 else None) as board:
        yield board


def write_curves(board, line: Mapping[str, object]) -> None:
    """Curves of one epoch, grouped by figure, such as ``accuracy/five`` beside ``accuracy/two``."""
    epoch = line["epoch"]
    board.add_scalar("loss/train", line["train_loss"], epoch)
    board.add_scalar("loss/validation", line["val_loss"], epoch)
    board.add_scalar("learning rate", line["learning_rate"], epoch)
    for name, figure in line.items():
        if name.startswith("val/") and figure is not None:
            task, _, kind = name.removeprefix("val/").rpartition("/")
            board.add_scalar(f"{kind}/{task}", figure, epoch)
    board.flush()


def in_words(line: Mapping[str, object], epochs: int) -> str:
    selected = "not a number" if line["selected"] is None else f"{line['selected']:.4f}"
    share = line["waited_seconds"] / line["seconds"] if line["seconds"] else 0.0
    waiting = f" ({share:.0%} waiting for data)" if share > _MUCH_WAITING and line["seconds"] > 1 else ""
    return (
        f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}, validation loss {line['val_loss']:.4f}, "
        f"{line['select']} {selected}, {line['seconds']:.0f} s{waiting}{', best so far' if line['best'] else ''}"
    )


def layers_in_words(line: Mapping[str, object]) -> Iterator[str]:
    """How much each layer weighs after the epoch of a line, where a slot sums several."""
    for slot, weights in line.get("layers", {}).items():
        yield f"slot {slot} sums {', '.join(f'{layer} {weight:.3f}' for layer, weight in weights.items())}"


def of_other_schemes(
    slots: Mapping[str, Sequence[str]], specs: Mapping[str, FeatureSpec], scheme: str
) -> Iterator[str]:
    """A warning for each feature that a run of another scheme has made: what is tested here may have been learnt there."""
    for feature in dict.fromkeys(name for features in slots.values() for name in features):
        spec = specs[feature]
        learnt_by = spec.options.get(LEARNT_BY, STANDARD)
        if spec.kind == RUN and learnt_by != scheme:
            yield (
                f"warning: {feature} is of a run of scheme {as_line(learnt_by)}, which may have learnt from what"
                f" {as_line(scheme)} validates and tests: embed a run of this scheme under another --name"
            )


def why_not_finite(
    loss: float, learning: Recordings, members: np.ndarray, epoch: int, step: int, config: TrainConfig
) -> str:
    culprit = segment_not_finite(learning, members)
    culprit = culprit or f"lower --learning-rate (now {config.learning_rate:g}), or raise --warmup"
    what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
    return f"{what} in epoch {epoch}, step {step}: {culprit}"


def segment_not_finite(recordings: Recordings, positions: np.ndarray) -> str:
    """Names the first segment whose features hold NaN or infinity, and the remedy; empty if none does."""
    for position in positions:
        batch = read_batch(recordings, np.array([position]))
        for name, rows in batch.features.items():
            for segment, values in zip(recordings.rows[position], rows.values.split(rows.lengths), strict=True):
                if not torch.isfinite(values).all():
                    own = recordings.store.segments["segment_id"].iloc[segment]
                    feature = recordings.features[name]
                    return f"the {feature} features of segment {own} are not all numbers, extract them again"
    return ""
