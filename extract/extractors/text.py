"""Features of transcripts: what a BERT or RoBERTa makes of the tokens of a segment, or of its window of turns.

Letters in shapes: B segments of a batch, T tokens, d width of the encoder, N rows of a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ...errors import EncoderError, SettingError, shown
from ...features.rows import identity_of
from ...features.spec import FeatureSpec
from ...values import check_kinds, check_most
from ..exact.transformer import LAST
from ..exact.valid import Hidden, asks_inside, hidden_of, valid_tokens
from . import finetuned
from .context import FORM, OwnTexts, Windows, nobody_known
from .contract import Extractor, Job, Loaded, Material, Setup
from .layers import Chosen, check_asked, chosen_layers
from .loading import (
    DTYPES,
    arithmetic,
    batch_rows_on,
    feature_name,
    in_halves,
    load_model,
    load_tokenizer,
    weights_digest,
)

TEXT_PADDING = "none: valid tokens only"
POOLS = ("none", "cls", "mean")

_MOST = {"tokens": 100_000, "turns": 1000}  # beyond is a slip of the keyboard


@dataclass(frozen=True)
class TextOptions:
    """What a feature of transcripts is asked to be."""

    encoder: str = "hfl/chinese-roberta-wwm-ext"
    """Encoder of text: a hub id, or a folder that holds config.json, weights and tokenizer."""

    layers: tuple[int, ...] = ()
    """Hidden states that are kept, each a feature of its own called NAME-layerI: 0 is what enters the first layer, -1
    the last; none for the last alone, called NAME."""

    join: bool = False
    """Put the layers side by side in one feature, in the order given."""

    pool: str = "none"
    """What is kept of the tokens: none keeps each, cls the first alone, mean their mean, special ones included."""

    tokens: int = 199
    """Longest input in tokens, special tokens included; what goes beyond it is cut off, and counted."""

    turns: int = 1
    """Turns that a segment's input holds: its own, and those right before it in the same recording."""

    speakers: bool = False
    """Write s1:, s2:, … before each turn, by who speaks, in the order in which speakers appear in the input."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        check_asked(self.layers, self.join)
        if self.pool not in POOLS:
            raise SettingError(f"pool must be {', '.join(POOLS[:-1])} or {POOLS[-1]}, but is {shown(self.pool)}")
        if self.tokens < 3:
            raise SettingError(f"tokens must be at least 3 (two are special), but is {self.tokens}")
        if self.turns < 1:
            raise SettingError(f"turns must be at least 1, the segment's own, but is {self.turns}")

    @property
    def sees_context(self) -> bool:
        """Whether the input is more than the segment's own text."""
        return self.turns > 1 or self.speakers


class TextEncoder:
    """A BERT-like model and its tokenizer."""

    def __init__(
        self, model: nn.Module, tokenizer, spec: FeatureSpec, device: torch.device, layers: Sequence[int] = (LAST,)
    ) -> None:
        """``layers`` are the hidden states that are made, from 0 on, or LAST; ``spec`` is that of the last."""
        self.spec, self.device, self.layers = spec, device, tuple(layers)
        self.tokenizer = tokenizer
        self.model = model.to(device).eval()
        self.batch_rows = batch_rows_on(device)
        self._valid = valid_tokens(self.model, DTYPES[spec.precision], self.layers)

    @classmethod
    def load(cls, source: str, *, max_tokens: int, device: torch.device, precision: str) -> TextEncoder:
        """Load from a hub id or a folder; raises as ``load_text_model`` does."""
        return cls(*load_text_model(source, max_tokens, precision), device)

    @property
    def batches_matter(self) -> bool:
        """Whether rounding depends on what else is in the batch, as the choice of a GPU's kernels does."""
        return self.device.type != "cpu"

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, not yet cut at the longest input."""
        if not len(texts):
            return []
        return self.tokenizer(list(texts), add_special_tokens=True, verbose=False)["input_ids"]

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """Tokens cut at the longest input, the closing special token kept."""
        limit = self.spec.max_rows
        return list(tokens) if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]

    @torch.inference_mode()
    def encode_alone(self, tokens: Sequence[int]) -> Hidden:
        """The definition: the valid tokens of one text -> by layer (T, d), float32."""
        ids = torch.tensor([list(tokens)], device=self.device)
        with arithmetic(self.spec.precision, self.device):
            mask = torch.ones_like(ids)
            output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=asks_inside(self.layers))
        return {layer: rows.float() for layer, rows in hidden_of(output, self.layers).items()}

    @torch.inference_mode()
    def encode(self, batch: Sequence[Sequence[int]]) -> list[Hidden]:
        """B texts as token ids -> their valid tokens, by layer (T, d) float32; the encoder is run once."""
        if self._valid is None:
            return [self.encode_alone(tokens) for tokens in batch]
        return self._valid([torch.tensor(tokens, device=self.device) for tokens in batch])


class Text(Extractor):
    """Features of one encoder of text, which is run once for all of them."""

    costs = {
        "a layer of a base encoder (768 wide), 4 tokens a second": 768 * 2 * 4 * 3600.0,
        "a layer of a large encoder (1,024 wide), 4 tokens a second": 1024 * 2 * 4 * 3600.0,
    }

    def __init__(
        self, encoder: TextEncoder, features: Mapping[str, Chosen], options: TextOptions, views: Mapping[str, Mapping]
    ) -> None:
        """``views`` are the recipes of those that alter the text. The options' encoder and layers are loaded."""
        self.encoder, self.features, self.options = encoder, dict(features), options
        spec = _with_options(replace(encoder.spec, views=dict(views)), options)
        self.specs = {name: chosen.spec_of(spec) for name, chosen in features.items()}
        self.batch_rows, self.batches_matter = encoder.batch_rows, encoder.batches_matter
        self.is_on_gpu = encoder.device.type == "cuda"
        window = (encoder.tokenizer, options.tokens, options.turns, options.speakers, options.encoder)
        self._inputs = Windows(*window) if options.sees_context else OwnTexts(encoder.tokenize, encoder.cut)

    @classmethod
    def load(cls, name: str, options: TextOptions, setup: Setup) -> Text:
        model, tokenizer, spec = load_text_model(options.encoder, options.tokens, setup.precision, setup.is_named)
        name = name or feature_name(model)
        trial = {"input_ids": torch.zeros(1, 3, dtype=torch.long), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
        features = chosen_layers(name, options.layers, options.join, model, trial, options.encoder)
        layers = tuple(dict.fromkeys(layer for chosen in features.values() for layer in chosen.layers))
        encoder = TextEncoder(model, tokenizer, spec, setup.device, layers)
        text = cls(encoder, features, options, setup.views_of("text"))
        text.remarks = finetuned.remarks_of(options.encoder, tuple(features))
        return text

    def identities(self, material: Material) -> dict[str, np.ndarray]:
        seen, identities = self._inputs.of(material), {}
        for name, spec in self.specs.items():
            made_by, identity = spec.of_originals.fingerprint, np.zeros(len(material.table), np.uint64)
            for row in material.present.tolist():
                identity[row] = identity_of(made_by, seen[row].text)
            identities[name] = identity
        return identities

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        rows = np.zeros(len(material.table), int)
        for row, given in self._inputs.of(material).items():
            rows[row] = len(given.tokens) if self.options.pool == "none" else 1
        return {name: rows for name in self.specs}

    def job(self, material: Material, row: int) -> Job:
        given = self._inputs.of(material)[row]
        rows = len(given.tokens) if self.options.pool == "none" else 1
        return Loaded, (given.tokens, len(given.tokens), given.is_cut, {}, rows)

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        made = in_halves(self.encoder.encode, [loaded.content for loaded in batch])
        return [self._values(hidden) for hidden in made]

    def define(self, loaded: Loaded) -> Mapping[str, torch.Tensor]:
        return self._values(self.encoder.encode_alone(loaded.content))

    def cut_rows(self, material: Material) -> np.ndarray:
        return self._inputs.cut_rows(material)

    def remarks_on(self, material: Material) -> tuple[str, ...]:
        return nobody_known(material, self.specs) if self.options.speakers else ()

    def _values(self, hidden: Hidden) -> dict[str, torch.Tensor]:
        return {name: self._pooled(chosen.of(hidden)) for name, chosen in self.features.items()}

    def _pooled(self, rows: torch.Tensor) -> torch.Tensor:
        """(T, d) -> (T, d), or (1, d) where tokens are pooled."""
        if self.options.pool == "none":
            return rows
        return rows[:1] if self.options.pool == "cls" else rows.mean(0, keepdim=True)


def load_text_model(
    source: str, max_tokens: int, precision: str, is_named: bool = False
) -> tuple[nn.Module, object, FeatureSpec]:
    """A model, its tokenizer and the spec of its last layer, from a hub id or a folder.

    Errors call the options of a feature that ``is_named`` encoder and tokens, and else --text-encoder and --max-tokens.
    Raises EncoderError when it is neither, is no text encoder, lacks weights or a tokenizer, or takes fewer tokens.
    """
    option, longest = ("encoder", "tokens") if is_named else ("--text-encoder", "--max-tokens")
    model, revision, where = load_model(source, option)
    if hasattr(model, "feature_extractor") or not hasattr(model.config, "vocab_size"):
        raise EncoderError(
            f"{source}: is a {type(model).__name__}, which takes no tokens; {option} wants a BERT or RoBERTa"
        )
    tokenizer = load_tokenizer(source, where)
    if len(tokenizer) > model.config.vocab_size:
        raise EncoderError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model knows {model.config.vocab_size};"
            " they do not belong together"
        )
    positions = getattr(model.config, "max_position_embeddings", max_tokens)
    # RoBERTa counts positions from the padding index + 1.
    usable = positions - (model.config.pad_token_id + 1 if "roberta" in model.config.model_type else 0)
    if max_tokens > usable:
        raise EncoderError(f"{source}: takes {usable} tokens at most, but {longest} is {max_tokens}")
    spec = FeatureSpec(
        modality="text",
        encoder=str(source),
        encoder_class=type(model).__name__,
        revision=revision,
        weights=weights_digest(model, tokenizer),
        width=model.config.hidden_size,
        max_rows=max_tokens,
        padding=TEXT_PADDING,
        precision=precision,
    )
    return model, tokenizer, spec


def _with_options(spec: FeatureSpec, options: TextOptions) -> FeatureSpec:
    """The spec of what is made of the tokens; where that is all that is usual, the same."""
    said = {}
    if options.sees_context:
        said |= {"turns": options.turns, "speakers": options.speakers, "form": FORM}
    if options.pool == "none":
        return replace(spec, options=said)
    return replace(spec, unit="vector", max_rows=1, options={**said, "pool": options.pool, "tokens": options.tokens})
