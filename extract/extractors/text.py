"""Features of transcripts: what a BERT or RoBERTa makes of a segment's tokens.

Letters in shapes: B segments of a batch, T tokens, d width of the encoder, N rows of a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ...errors import EncoderError, SettingError
from ...features.rows import identity_of
from ...features.spec import FeatureSpec
from ...values import check_kinds, check_most
from ..exact.valid import valid_tokens
from .contract import Extractor, Job, Loaded, Material, Setup
from .layers import check_layers
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

    tokens: int = 199
    """Longest input in tokens, special tokens included; what goes beyond it is cut off, and counted."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        check_layers(self.layers, self.join)
        if self.tokens < 3:
            raise SettingError(f"tokens must be at least 3 (two are special), but is {self.tokens}")


class TextEncoder:
    """A BERT-like model and its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer, spec: FeatureSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.tokenizer = tokenizer
        self.model = model.to(device).eval()
        self.batch_rows = batch_rows_on(device)
        self._valid = valid_tokens(self.model, DTYPES[spec.precision])

    @classmethod
    def load(cls, source: str, *, max_tokens: int, device: torch.device, precision: str) -> TextEncoder:
        """Load from a hub id or a folder.

        Raises EncoderError when it is neither, is no text encoder, lacks weights or a tokenizer, or takes fewer tokens.
        """
        model, revision, where = load_model(source, "--text-encoder")
        if hasattr(model, "feature_extractor") or not hasattr(model.config, "vocab_size"):
            raise EncoderError(
                f"{source}: is a {type(model).__name__}, which takes no tokens; --text-encoder wants a BERT or RoBERTa"
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
            raise EncoderError(f"{source}: takes {usable} tokens at most, but --max-tokens is {max_tokens}")
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
        return cls(model, tokenizer, spec, device)

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
    def encode_alone(self, tokens: Sequence[int]) -> torch.Tensor:
        """The definition: the valid tokens of one text -> (T, d), float32."""
        ids = torch.tensor([list(tokens)], device=self.device)
        with arithmetic(self.spec.precision, self.device):
            hidden = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return hidden[0].float()

    @torch.inference_mode()
    def encode(self, batch: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """B texts as token ids -> their valid tokens, each (T, d) float32."""
        if self._valid is None:
            return [self.encode_alone(tokens) for tokens in batch]
        return self._valid([torch.tensor(tokens, device=self.device) for tokens in batch])


class Text(Extractor):
    """Features of one encoder of text, which is run once for all of them."""

    costs = {
        "a layer of a base encoder (768 wide), 4 tokens a second": 768 * 2 * 4 * 3600.0,
        "a layer of a large encoder (1,024 wide), 4 tokens a second": 1024 * 2 * 4 * 3600.0,
    }

    def __init__(self, encoder: TextEncoder, specs: Mapping[str, FeatureSpec]) -> None:
        self.encoder, self.specs = encoder, dict(specs)
        self.batch_rows, self.batches_matter = encoder.batch_rows, encoder.batches_matter
        self.is_on_gpu = encoder.device.type == "cuda"
        self._known: dict[str, list[int]] = {}

    @classmethod
    def load(cls, name: str, options: TextOptions, setup: Setup) -> Text:
        encoder = TextEncoder.load(
            options.encoder, max_tokens=options.tokens, device=setup.device, precision=setup.precision
        )
        spec = replace(encoder.spec, views=setup.views_of("text"))
        return cls(encoder, {name or feature_name(encoder.model): spec})

    def identities(self, material: Material) -> dict[str, np.ndarray]:
        identities = {}
        for name, spec in self.specs.items():
            made_by, identity = spec.of_originals.fingerprint, np.zeros(len(material.table), np.uint64)
            for row in material.present:
                identity[row] = identity_of(made_by, material.table["text"].iloc[row])
            identities[name] = identity
        return identities

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        most = self.encoder.spec.max_rows
        rows = np.array([min(length, most) for length in self._lengths(material)], int)
        return {name: rows for name in self.specs}

    def job(self, material: Material, row: int) -> Job:
        text = material.table["text"].iloc[row]
        tokens = self._tokens([text])[text]
        cut = self.encoder.cut(tokens)
        return Loaded, (cut, len(cut), len(cut) < len(tokens))

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        made = in_halves(self.encoder.encode, [loaded.content for loaded in batch])
        return [{name: values for name in self.specs} for values in made]

    def define(self, loaded: Loaded) -> Mapping[str, torch.Tensor]:
        values = self.encoder.encode_alone(loaded.content)
        return {name: values for name in self.specs}

    def cut_rows(self, material: Material) -> np.ndarray:
        return self._lengths(material) > self.encoder.spec.max_rows

    def _lengths(self, material: Material) -> np.ndarray:
        """(N,) tokens of each row before it is cut."""
        tokens = self._tokens(material.table["text"])
        return np.array([len(tokens[text]) for text in material.table["text"]], int)

    def _tokens(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Token ids by text, not yet cut; each text is split once."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        self._known.update(zip(new, self.encoder.tokenize(new), strict=True))
        return self._known
