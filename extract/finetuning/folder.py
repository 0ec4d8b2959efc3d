"""The folder of a fine-tuning run.

    runs/NAME/finetune.json      settings, where the examples come from, their digests, the encoder it begins with
             left-out.csv        segments that cannot be heard, if there are any
             metrics.jsonl       a line per epoch
             checkpoints/        what going on needs, until the run is done: the newest and the best
             encoder/            the encoder at the best epoch, as transformers' AutoModel takes it; with it msmt.json,
                                 what it was fine-tuned on
             head.safetensors    the head that was trained with it

``encoder`` is put there last, whole: a run that has it is done.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from ...errors import RunError, SettingError, shown
from ...features.durable import ASIDE, put_in_place, sync_tree, write_whole
from ...shown import as_cell
from ..extractors.finetuned import CARD
from .inputs import Encoder

SETTINGS, ENCODER, HEAD, LEFT_OUT, METRICS = (
    "finetune.json",
    "encoder",
    "head.safetensors",
    "left-out.csv",
    "metrics.jsonl",
)
LATEST = "latest"


@dataclass(frozen=True)
class Folder:
    """A run that was begun."""

    path: Path

    @property
    def encoder(self) -> Path:
        """Where the finished encoder is, or will be."""
        return self.path / ENCODER

    @property
    def is_done(self) -> bool:
        return (self.encoder / "config.json").exists()

    @property
    def has_settings(self) -> bool:
        return (self.path / SETTINGS).exists()

    @property
    def settings(self) -> dict:
        """What was asked for. Raises RunError where it cannot be read."""
        try:
            content = json.loads((self.path / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / SETTINGS}: cannot be read ({error}); begin anew") from error
        if not isinstance(content, dict):
            raise RunError(f"{self.path / SETTINGS}: holds no settings; begin anew")
        return content

    def write_settings(self, settings: Mapping) -> None:
        write_whole(self.path / SETTINGS, [_json(settings)])

    def write_left_out(self, left_out: Mapping[str, str]) -> None:
        """Names of segments, and why they are not learnt from."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["segment_id", "reason"])
        rows.writerows([as_cell(name), as_cell(reason)] for name, reason in left_out.items())
        write_whole(self.path / LEFT_OUT, [text.getvalue().encode()])

    def write_metrics(self, epochs: list[dict]) -> None:
        write_whole(self.path / METRICS, [json.dumps(epoch).encode() + b"\n" for epoch in epochs])

    def finish(self, encoder: Encoder, head: Mapping[str, torch.Tensor], record: Mapping) -> None:
        """Write the head and the encoder, and drop what only going on needs."""
        save_file({name: weight.cpu().contiguous() for name, weight in head.items()}, self.path / HEAD)
        aside = self.path / (ENCODER + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        encoder.module.save_pretrained(aside)
        if encoder.modality == "text":
            encoder.tokenizer.save_pretrained(aside)
        else:
            _feature_extractor(encoder.spec.sample_rate).save_pretrained(aside)
        (aside / CARD).write_bytes(_json(record))
        for file in aside.iterdir():
            file.chmod(0o644)  # safetensors lets nobody else read its files
        sync_tree(aside)
        put_in_place(aside, self.encoder)
        self.drop_checkpoints()

    def drop_checkpoints(self) -> None:
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)


def new_folder(runs: Path, name: str, stem: str) -> Folder:
    """A folder that is not there yet: of the given name, or of the time and ``stem``. Raises RunError."""
    if name and (Path(name).name != name or name in (".", "..", LATEST)):
        raise SettingError(f"name must be the name of a folder, but is {shown(name)}")
    path = runs / (name or f"{time.strftime('%Y%m%d-%H%M%S')}-{stem}")
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise RunError(f"{path} is there already: go on with --resume {path.name}, or give another --name") from None
    except OSError as error:
        raise RunError(f"cannot make {path}: {error.strerror}") from error
    return Folder(path)


def find(runs: Path, wanted: str) -> Folder:
    """The run that is meant: a path, a name in ``runs``, or the latest there. Raises RunError."""
    if wanted == LATEST:
        there = sorted(runs.glob(f"*/{SETTINGS}"), key=lambda path: path.stat().st_mtime_ns)
        if not there:
            raise RunError(f"there is no fine-tuning run in {runs}: start one with msmt finetune")
        return Folder(there[-1].parent)
    for path in (runs / wanted, Path(wanted)):
        if (path / SETTINGS).is_file():
            return Folder(path)
    raise RunError(f"there is no fine-tuning run {wanted} in {runs}: it would hold {SETTINGS}")


def _feature_extractor(sample_rate: int):
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(sampling_rate=sample_rate, do_normalize=True, return_attention_mask=True)


def _json(content: Mapping) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
