"""Layers of BERT and ViT that are used as they were trained, and never learn.

They are loaded through transformers from the hub or a folder when a run begins. What a run keeps is their sizes and
a digest of their weights, in its settings, and the weights among its own: so it is resumed and evaluated wherever it
lies, without the encoders. Dropout is off in them. Both are written here for packed rows, and tried against the
layers that transformers has when they are loaded.

Letters: N rows of all segments together, S segments, K further rows of each segment, d values per row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import EncoderError, SettingError
from ..linear import Linear
from ..rows import Layout, attend

LANGUAGE, VISION = "bert", "vit"
_CLOSE = 1e-4  # between a layer here and the same one of transformers

# What each part is called in a layer of transformers, by release; the first that is there is taken.
_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    LANGUAGE: {
        "query": ("attention.self.query",),
        "key": ("attention.self.key",),
        "value": ("attention.self.value",),
        "out": ("attention.output.dense",),
        "first_norm": ("attention.output.LayerNorm",),
        "inner": ("intermediate.dense",),
        "outer": ("output.dense",),
        "second_norm": ("output.LayerNorm",),
    },
    VISION: {
        "query": ("attention.q_proj", "attention.attention.query"),
        "key": ("attention.k_proj", "attention.attention.key"),
        "value": ("attention.v_proj", "attention.attention.value"),
        "out": ("attention.o_proj", "attention.output.dense"),
        "first_norm": ("layernorm_before",),
        "inner": ("mlp.fc1", "intermediate.dense"),
        "outer": ("mlp.fc2", "output.dense"),
        "second_norm": ("layernorm_after",),
    },
}
_FOUND = re.compile(r"(\d+)x(\d+)x(\d+):(\d+):([0-9a-f]{32})")


@dataclass(frozen=True)
class Found:
    """What is found out of an encoder's layers before a run begins, and kept in its settings as one word."""

    width: int
    """Values per row."""

    heads: int
    """Attention heads."""

    feed_forward: int
    """Values inside each feed-forward block."""

    patch: int
    """Values of a patch of one colour, which ViT takes; 0 of a BERT."""

    digest: str
    """Of the weights."""

    def __str__(self) -> str:
        return f"{self.width}x{self.heads}x{self.feed_forward}:{self.patch}:{self.digest}"

    @classmethod
    def read(cls, word: str) -> Found:
        """Raises SettingError for a word that says nothing of layers."""
        match = _FOUND.fullmatch(word)
        if not match:
            raise SettingError(f"{word!r:.80} says nothing of layers: leave it out, it is found out")
        return cls(*map(int, match.groups()[:4]), match[5])


@dataclass(frozen=True)
class Weights:
    """The first layers of an encoder."""

    found: Found
    layers: tuple[Mapping[str, Tensor], ...]
    """Of each layer the weights by the names that they have here."""

    patches: Mapping[str, Tensor]
    """Of ViT ``weight`` (d, patch) and ``bias`` (d,) of its embedding of patches, all colours alike."""


class FrozenLayer(nn.Module):
    """One Transformer layer: attention and feed-forward, with norms behind each (BERT) or before each (ViT)."""

    def __init__(self, kind: str, found: Found) -> None:
        super().__init__()
        width = found.width
        self.kind, self.heads = kind, found.heads
        self.query, self.key, self.value, self.out = (Linear(width, width) for _ in range(4))
        self.inner, self.outer = Linear(width, found.feed_forward), Linear(found.feed_forward, width)
        self.first_norm, self.second_norm = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.requires_grad_(False)

    def forward(self, rows: Tensor, layout: Layout, more: Tensor, of_rows: bool, of_more: bool) -> list[Tensor]:
        """(N, d) rows and (S·K, d) further ones of each segment, K of each -> those of them that are asked for.

        Attention is over both; what is not asked for is not computed beyond its keys and values.
        """
        count = len(more) // len(layout.lengths)
        beside = Layout((count,) * len(layout.lengths), layout.device)
        # A norm before attention is of each row alone, so rows and further rows go through apart.
        streams = [(rows, layout), (more, beside)]
        normed = [self.first_norm(stream) if self.kind == VISION else stream for stream, _ in streams]
        both = layout.longer(count)
        keys = _joined(self.key(normed[0]), self.key(normed[1]), layout, count)
        values = _joined(self.value(normed[0]), self.value(normed[1]), layout, count)
        answers = []
        for (stream, own), read, asked in zip(streams, normed, (of_rows, of_more), strict=True):
            if asked:
                found = self.out(attend(self.query(read), keys, values, self.heads, own, both))
                answers.append(self._rest(stream, found))
        return answers

    def _rest(self, stream: Tensor, found: Tensor) -> Tensor:
        if self.kind == VISION:
            stream = stream + found
            return stream + self.outer(functional.gelu(self.inner(self.second_norm(stream))))
        stream = self.first_norm(stream + found)
        return self.second_norm(stream + self.outer(functional.gelu(self.inner(stream))))


def _joined(rows: Tensor, more: Tensor, layout: Layout, count: int) -> Tensor:
    """Behind the rows of each segment its further ones: (N, d) and (S·K, d) -> (N + S·K, d)."""
    pieces = zip(rows.split(layout.lengths), more.split(count), strict=True)
    return torch.cat([part for pair in pieces for part in pair])


def found_in(source: str, kind: str, layers: int, option: str) -> Found:
    """What there is to know of the first layers of an encoder. Raises EncoderError, which names the ``option``."""
    return weights_of(source, kind, layers, option).found


@lru_cache(2)
def weights_of(source: str, kind: str, layers: int, option: str) -> Weights:
    """The first layers of an encoder, from the hub or a folder. Raises EncoderError, which names the ``option``."""
    model = _model(source, kind, layers, option)
    config = model.config
    state = {name: values.detach().clone() for name, values in model.state_dict().items()}
    taken = []
    for number in range(layers):
        own = _of_layer(state, number)
        taken.append(
            {
                f"{part}.{end}": _first_of(own, [f"{name}.{end}" for name in names], source)
                for part, names in _NAMES[kind].items()
                for end in ("weight", "bias")
            }
        )
    patches = {}
    if kind == VISION:  # a spectrogram is gray: all colours alike
        kernel = state["embeddings.patch_embeddings.projection.weight"]
        patches = {"weight": kernel.sum(dim=1).flatten(1), "bias": state["embeddings.patch_embeddings.projection.bias"]}
    digest = hashlib.sha256(f"{kind} {layers} {config.num_attention_heads}".encode())
    for part in (*taken, patches):
        for name, values in sorted(part.items()):
            digest.update(f"{name} {tuple(values.shape)}".encode() + values.contiguous().numpy().tobytes())
    found = Found(
        width=config.hidden_size,
        heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        patch=patches["weight"].shape[1] if patches else 0,
        digest=digest.hexdigest()[:32],
    )
    weights = Weights(found, tuple(taken), patches)
    _try(model, weights, kind, source)
    return weights


def _model(source: str, kind: str, layers: int, option: str) -> nn.Module:
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    where = {"local_files_only": True} if Path(source).is_dir() else {}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **where)
        if config.model_type != kind:
            raise EncoderError(f"{source}: is a {config.model_type}, and {option} wants a {kind}")
        if config.num_hidden_layers < layers:
            raise EncoderError(f"{source}: has {config.num_hidden_layers} layers, but blocks is {layers}")
        config.num_hidden_layers = layers  # no others are read
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            model, report = AutoModel.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                trust_remote_code=False,
                add_pooling_layer=False,
                output_loading_info=True,
                **where,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")[:200] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"{source}: its layers cannot be loaded ({reason}); {option} wants a hub id or a folder of a {kind}"
        ) from error
    missing = [name for name in report["missing_keys"] if "position_ids" not in name]
    if missing:
        raise EncoderError(f"{source}: the weights lack {missing[0]}; they would be random, so they are not used")
    return model.eval()


def _of_layer(state: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    pattern = re.compile(rf"(?:encoder\.)?layers?\.{number}\.(.+)")
    return {match[1]: values for name, values in state.items() if (match := pattern.fullmatch(name))}


def _first_of(own: Mapping[str, Tensor], names: list[str], source: str) -> Tensor:
    for name in names:
        if name in own:
            return own[name]
    raise EncoderError(f"{source}: its layers have no {names[0]}, so this release of transformers is not known here")


@torch.no_grad()
def _try(model: nn.Module, weights: Weights, kind: str, source: str) -> None:
    """Raises EncoderError where a layer here does not give what that of transformers gives."""
    rows = torch.randn(5, weights.found.width, generator=torch.Generator().manual_seed(0))
    theirs = next(module for name, module in model.named_modules() if re.fullmatch(r"(encoder\.)?layers?\.0", name))
    with torch.device("cpu"):
        layer = FrozenLayer(kind, weights.found)
    layer.load_state_dict(weights.layers[0])
    wanted = theirs(rows[None])
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted)[0]
    found = torch.cat(layer(rows[:3], Layout((3,), rows.device), rows[3:], True, True))
    if not torch.allclose(found, wanted, atol=_CLOSE * max(1.0, float(wanted.abs().max())), rtol=0):
        raise EncoderError(f"{source}: its layers compute something else than those of a {kind} do here")
