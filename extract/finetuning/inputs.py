"""From examples to batches: tokens or samples, padded to the longest of each batch.

Letters in shapes: B examples of a batch, T tokens, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import AudioError, EncoderError
from ...features.spec import FeatureSpec
from ...progress import Track, silent
from ..extractors.hearing import Hearing, load
from ..extractors.loading import place_of_model
from ..extractors.speech import AudioEncoder, AudioModel, FrameCount, Framed
from ..extractors.text import load_text_model
from ..rate import choose_rate
from ..sound.silence import SilenceOptions, SilenceRemover
from .config import FinetuneOptions
from .examples import Examples

_THREADS = 2  # that listen to every segment once


@dataclass(frozen=True)
class Encoder:
    """An encoder that is to be fine-tuned, and what makes its inputs."""

    module: nn.Module
    modality: str

    spec: FeatureSpec
    """What it is, with the digest of its weights, and how it is given its input."""

    tokenizer: object = None
    hearing: Hearing | None = None

    @classmethod
    def load(cls, options: FinetuneOptions, silence: SilenceOptions, dataset: str) -> Encoder:
        """Raises EncoderError where there is no such encoder, or one that takes neither text nor waveforms."""
        if modality_of(options.encoder) == "text":
            module, tokenizer, spec = load_text_model(options.encoder, options.tokens, options.precision, is_named=True)
            return cls(module, "text", spec, tokenizer=tokenizer)
        model = AudioModel.load(options.encoder, "--encoder")
        rate = choose_rate(options.rate, dataset, options.encoder, model.rate, {}, ()).hertz
        same = {"sample_rate": rate, "max_seconds": options.seconds, "precision": options.precision}
        spec = AudioEncoder.of(model, device=torch.device("cpu"), **same).spec
        channel = None if options.channel == "mean" else int(options.channel)
        hearing = Hearing(channel, SilenceRemover(silence) if silence.removes else None)
        spec = replace(spec, **hearing.spec_fields(rate, options.seconds, spec.normalisation))
        return cls(model.module, "audio", spec, hearing=hearing)

    def dataset(self, rows: pd.DataFrame, root: Path) -> Dataset:
        """The inputs and labels of some rows."""
        if self.modality == "text":
            return Texts(rows["text"].tolist(), rows["label"].tolist(), self.tokenizer, self.spec.max_rows)
        framed = Framed(FrameCount.of(self.module, self.spec.max_samples), self.spec.sample_rate)
        return Segments(rows, root, self.spec, self.hearing, framed)

    def batch(self, examples: Sequence[dict]) -> dict[str, Tensor]:
        """Examples padded to the longest of them: (B, T) tokens or (B, S) samples, their mask, and labels (B,)."""
        labels = torch.tensor([example["labels"] for example in examples])
        if self.modality == "text":
            padded = self.tokenizer.pad({"input_ids": [each["input_ids"] for each in examples]}, return_tensors="pt")
            return {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"], "labels": labels}
        longest = max(len(example["input_values"]) for example in examples)
        values = torch.zeros(len(examples), longest)
        mask = torch.zeros(len(examples), longest, dtype=torch.long)
        for row, example in enumerate(examples):
            samples = example["input_values"]
            values[row, : len(samples)] = torch.from_numpy(samples)
            mask[row, : len(samples)] = 1
        return {"input_values": values, "attention_mask": mask, "labels": labels}

    def unusable(self, examples: Examples, track: Track = silent) -> dict[int, str]:
        """By row of the table why a segment cannot be heard; each is listened to once. Of texts none."""
        if self.modality == "text":
            return {}
        segments = self.dataset(examples.table, examples.root)
        with (
            track("listening to all segments", total=len(segments), unit="segments") as advance,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            found = {}
            for row, problem in enumerate(pool.map(segments.problem, range(len(segments)))):
                if problem:
                    found[row] = problem
                advance(1)
        return found


def modality_of(source: str, option: str = "--encoder") -> str:
    """``text`` or ``audio``, by an encoder's configuration. Raises EncoderError."""
    from transformers import AutoConfig

    _, where = place_of_model(source, option)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **where)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{source}: its config.json cannot be read ({str(error).splitlines()[0][:200]})") from error
    return "audio" if hasattr(config, "conv_kernel") else "text"


class Texts(Dataset):
    """Tokens of transcripts, cut at the longest input."""

    def __init__(self, texts: Sequence[str], labels: Sequence, tokenizer, most: int) -> None:
        self.tokens = tokenizer(list(texts), truncation=True, max_length=most, verbose=False)["input_ids"]
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict:
        return {"input_ids": self.tokens[row], "labels": self.labels[row]}


class Segments(Dataset):
    """Samples of segments, heard as extraction hears them."""

    def __init__(self, rows: pd.DataFrame, root: Path, spec: FeatureSpec, hearing: Hearing, framed: Framed) -> None:
        self.rows, self.root, self.spec, self.hearing, self.framed = rows, root, spec, hearing, framed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict:
        loaded = self._heard(row)
        if isinstance(loaded, AudioError):
            raise AudioError(f"{self.rows['segment_id'].iloc[row]}: {loaded}")
        return {"input_values": np.ascontiguousarray(loaded.content), "labels": self.rows["label"].iloc[row].item()}

    def problem(self, row: int) -> str:
        """Why a segment cannot be heard; empty where it can."""
        loaded = self._heard(row)
        return str(loaded) if isinstance(loaded, AudioError) else ""

    def _heard(self, row: int):
        return load(self.root, self.rows.iloc[row], self.spec, self.hearing.remover, self.framed)
