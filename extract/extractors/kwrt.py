"""The feature ``kwrt``: how much each token of a conversation matters by knowledge of words (word relation tagging).

Of H. Shi, Z. Liang, J. Yu, *Emotional Cues Extraction and Fusion for Multi-modal Emotion Prediction and Recognition
in Conversation*, Interspeech 2024, section 2.3. The tokens are those that the kind ``text`` makes with the same
``encoder``, ``tokens``, ``turns`` and ``speakers``, one for one, so its rows lie beside the rows of that feature.

- The words are the content words of the window, as far as the encoder sees them: runs of letters and digits without
  function words, numbers and the marks s1:, s2:; in lower case, without what an apostrophe adds.
- A word's importance is the sum of its row of M = M_rec + M_rel (word_importance.py); each of its tokens has it.
- Tokens of function words, signs and special tokens have 0.

Letters in shapes: N rows of a store, T tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...errors import EncoderError, SettingError, shown
from ...features.rows import identity_of
from ...features.spec import FeatureSpec
from ...values import check_kinds, check_least, check_most
from ..conceptnet import Knowledge, knowledge_of
from .context import FORM, Given, OwnTexts, Windows, nobody_known
from .contract import Extractor, Job, Loaded, Material, Setup
from .function_words import ENGLISH, digest_of, words_from
from .loading import tokenizer_of
from .text import TEXT_PADDING, TextOptions
from .word_importance import MARK, content_words, importances, over_tokens

_DEFINITION = "sums of rows of recurrence and ConceptNet's IsA, HasContext, Causes; content words in lower case; 0 else"
_LANGUAGE = re.compile("[a-z]{2,8}")


@dataclass(frozen=True)
class KwrtOptions:
    """Options of word relation tagging; the first four as the text feature has them that it lies beside."""

    encoder: str = TextOptions.encoder
    """Encoder whose tokens are rated: a hub id, or a folder that holds its tokenizer."""

    tokens: int = TextOptions.tokens
    """Longest input in tokens, special tokens included."""

    turns: int = 1
    """Turns that a segment's input holds: its own, and those right before it in the same recording."""

    speakers: bool = False
    """Whether s1:, s2:, … stand before the turns."""

    conceptnet: str = ""
    """File of ConceptNet's assertions, such as conceptnet-assertions-5.7.0.csv.gz; must be given."""

    index: str = ""
    """Folder for the database that is made of the assertions once; beside the file unless given."""

    language: str = "en"
    """Language of the texts, as ConceptNet writes it."""

    function_words: str = ""
    """Text file of words that do not count; for English there is a list unless one is given."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, {"tokens": 100_000, "turns": 1000})
        check_least(self, 3, ["tokens"])
        check_least(self, 1, ["turns"])
        if not self.conceptnet:
            raise SettingError(
                "conceptnet must name the file of ConceptNet's assertions, such as conceptnet-assertions-5.7.0.csv.gz"
            )
        if not _LANGUAGE.fullmatch(self.language):
            raise SettingError(f"language must be as ConceptNet writes it, such as en, but is {shown(self.language)}")
        if self.language != "en" and not self.function_words:
            raise SettingError(
                f"function_words must name a file of the function words of language {self.language}: msmt has "
                f"those of en"
            )

    @property
    def sees_context(self) -> bool:
        """Whether the input is more than the segment's own text."""
        return self.turns > 1 or self.speakers


@dataclass(frozen=True)
class _Split:
    """A turn, or a text with its special tokens, as tokens and words."""

    tokens: int
    """How many tokens it has."""

    words: tuple[tuple[str, tuple[int, ...]], ...]
    """Each content word as ConceptNet writes it, and the numbers of its tokens."""


class Kwrt(Extractor):
    """Makes one feature of one value a token, on the CPU."""

    costs = {"4 tokens a second": 4 * 4 * 3600.0}

    def __init__(
        self,
        name: str,
        options: KwrtOptions,
        tokenizer,
        function_words: frozenset[str],
        knowledge: Knowledge,
        spec: FeatureSpec,
    ) -> None:
        self.name, self.options, self.tokenizer = name, options, tokenizer
        self.function_words, self.knowledge, self.spec = function_words, knowledge, spec
        self.specs = {name: spec}
        if knowledge.is_new:
            self.remarks = (
                f"{name}: of {knowledge.read:,} assertions {knowledge.kept:,} are kept, in {knowledge.path}",
            )
        window = (tokenizer, options.tokens, options.turns, options.speakers, options.encoder)
        self._inputs = Windows(*window) if options.sees_context else OwnTexts(self._tokenized, self._cut)
        self._splits: dict[str, _Split] = {}
        self._relations: dict[str, dict[str, int]] = {}
        self._terms: set[str] = set()
        self._looked_up: Material | None = None

    @classmethod
    def load(cls, name: str, options: KwrtOptions, setup: Setup) -> Kwrt:
        name = name or "kwrt"
        tokenizer, revision, digest = tokenizer_of(options.encoder, "encoder" if setup.is_named else "--text-encoder")
        if not getattr(tokenizer, "is_fast", False):
            raise EncoderError(f"{options.encoder}: its tokenizer does not tell where in a text its tokens are")
        function_words = words_from(Path(options.function_words)) if options.function_words else ENGLISH
        folder = Path(options.index) if options.index else None
        knowledge = knowledge_of(Path(options.conceptnet), options.language, folder, setup.track)
        context = {"turns": options.turns, "speakers": options.speakers, "form": FORM} if options.sees_context else {}
        spec = FeatureSpec(
            modality="text",
            encoder=options.encoder,
            encoder_class="word relations of ConceptNet",
            weights="",
            revision=revision,
            width=1,
            max_rows=options.tokens,
            padding=TEXT_PADDING,
            dtype="float32",  # counts, which float16 rounds from 2,048 on
            kind="kwrt",
            views=dict(setup.views_of("text")),
            options={
                "definition": _DEFINITION,
                "tokenizer": digest,
                "language": options.language,
                "function_words": digest_of(function_words),
                "knowledge": knowledge.digest,
                **context,
            },
        )
        return cls(name, options, tokenizer, function_words, knowledge, spec)

    def identities(self, material: Material) -> dict[str, np.ndarray]:
        seen, identity = self._inputs.of(material), np.zeros(len(material.table), np.uint64)
        made_by = self.spec.of_originals.fingerprint
        for row in material.present.tolist():
            identity[row] = identity_of(made_by, seen[row].text)
        return {self.name: identity}

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        rows = np.zeros(len(material.table), int)
        for row, given in self._inputs.of(material).items():
            rows[row] = len(given.tokens)
        return {self.name: rows}

    def job(self, material: Material, row: int) -> Job:
        seen = self._inputs.of(material)
        if material is not self._looked_up:  # what is known of all words, asked for once
            self._look_up({turn for given in seen.values() for turn in self._texts(given)})
            self._looked_up = material
        given = seen[row]
        return Loaded, (given, len(given.tokens), given.is_cut, {}, len(given.tokens))

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        self._look_up({turn for loaded in batch for turn in self._texts(loaded.content)})
        return [{self.name: torch.tensor(self._values(loaded.content)).float()[:, None]} for loaded in batch]

    def cut_rows(self, material: Material) -> np.ndarray:
        return self._inputs.cut_rows(material)

    def remarks_on(self, material: Material) -> tuple[str, ...]:
        return nobody_known(material, self.specs) if self.options.speakers else ()

    def words_of(self, given: Given) -> list[tuple[str, tuple[int, ...]]]:
        """The content words that the encoder sees, in order, each with the numbers of its tokens."""
        words, first = [], len(self._inputs.opening) if self.options.sees_context else 0
        for turn in self._texts(given):
            split = self._splits[turn]
            words += [(term, tuple(first + token for token in tokens)) for term, tokens in split.words]
            first += split.tokens + 1  # and the separator
        last = len(given.tokens) - (len(self._inputs.closing) if self.options.sees_context else given.is_cut)
        kept = ((term, tuple(token for token in tokens if token < last)) for term, tokens in words)
        return [(term, tokens) for term, tokens in kept if tokens]

    def _values(self, given: Given) -> list[int]:
        """(T,)"""
        words = self.words_of(given)
        values = importances([term for term, _ in words], self._relations)
        return over_tokens(len(given.tokens), (tokens for _, tokens in words), values)

    def _texts(self, given: Given) -> Sequence[str]:
        """The turns of an input, or its one text."""
        return json.loads(given.text) if self.options.sees_context else (given.text,)

    def _look_up(self, texts: Iterable[str]) -> None:
        """Split texts that were not met before, and find out how their words are related to all."""
        fresh = sorted({text for text in texts if text not in self._splits})
        if not fresh:
            return
        read = self.tokenizer(
            fresh,
            add_special_tokens=not self.options.sees_context,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        for text, places, special in zip(fresh, read["offset_mapping"], read["special_tokens_mask"], strict=True):
            self._splits[text] = self._split(text, places, special)
        terms = {term for text in fresh for term, _ in self._splits[text].words} - self._terms
        self._terms |= terms
        for word, others in self.knowledge.relations_between(terms, self._terms).items():
            for other, count in others.items():
                self._relations.setdefault(word, {})[other] = count
                self._relations.setdefault(other, {})[word] = count

    def _split(self, text: str, places: Sequence[tuple[int, int]], special: Sequence[int]) -> _Split:
        mark = MARK.match(text) if self.options.speakers else None
        words, token = [], 0
        for word in content_words(text, self.function_words, mark.end() if mark else 0):
            while token < len(places) and (special[token] or places[token][1] <= word.start):
                token += 1
            own, at = [], token
            while at < len(places) and not special[at] and places[at][0] < word.end:
                if places[at][1] > places[at][0]:
                    own.append(at)
                at += 1
            words.append((word.term, tuple(own)))
        return _Split(len(places), tuple(words))

    def _tokenized(self, texts: Sequence[str]) -> list[list[int]]:
        if not len(texts):
            return []
        return self.tokenizer(list(texts), add_special_tokens=True, verbose=False)["input_ids"]

    def _cut(self, tokens: Sequence[int]) -> list[int]:
        limit = self.options.tokens
        return list(tokens) if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]
