"""What the emotional-cues network needs beside text and audio: rated tokens, patches of a spectrogram, frozen layers."""

from __future__ import annotations

import functools
import tempfile
import warnings
from dataclasses import replace

import numpy as np
import torch
from msmt.tests.train.made import spec

BANDS, PATCH = 2, 16  # patches of a moment, values of each
_SMALL = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 20}
_folders = []


def added(store) -> None:
    """A rating of each token of ``roberta``, and patches beside the frames of ``hubert``."""
    random = np.random.default_rng(5)
    if "roberta" in store.specs and "kwrt" not in store.specs:
        store.specs["kwrt"] = replace(spec("text", 1), kind="kwrt", dtype="float32")
        store.features["kwrt"] = [
            random.integers(0, 9, (len(rows), 1)).astype(np.float32) for rows in store.features["roberta"]
        ]
    if "hubert" in store.specs and "mel" not in store.specs:
        store.specs["mel"] = replace(spec("audio", PATCH), kind="mel", encoder="mel")
        project = random.standard_normal((store.specs["hubert"].width, PATCH))
        store.features["mel"] = [
            (np.repeat(rows[:3].mean(axis=0, keepdims=True) @ project, BANDS * (1 + row % 4), axis=0)).astype(
                np.float16
            )
            for row, rows in enumerate(store.features["hubert"])
        ]


@functools.cache
def bert() -> str:
    """A folder of a small BERT with random weights."""
    from transformers import BertConfig, BertModel

    return _saved(BertModel(BertConfig(hidden_size=12, vocab_size=30, **_SMALL), add_pooling_layer=False))


@functools.cache
def vit() -> str:
    """A folder of a small ViT with random weights; its patches have 16 values of each colour."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(hidden_size=16, image_size=16, patch_size=4, **_SMALL)
    return _saved(ViTModel(config, add_pooling_layer=False))


def _saved(model: torch.nn.Module) -> str:
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message="Implicitly cleaning up")  # with the last test
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in model.parameters():
            values.copy_(0.3 * torch.randn(values.shape, generator=random) + (values.dim() == 1 and values.mean()))
    _folders.append(tempfile.TemporaryDirectory(prefix="msmt-tests-"))
    model.save_pretrained(_folders[-1].name)
    return _folders[-1].name
