"""Small encoders with random weights, as the Hugging Face libraries save them, to try things without any download."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..sound.homophones import common_characters

WIDTH = 64  # of all encoders
_SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 2 * WIDTH}


def vocabulary_of(texts: Iterable[str], words: Sequence[str] = ()) -> list[str]:
    """Tokens for Mandarin texts and for words of other languages; what is neither is spelled, letter by letter."""
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", *letters, *(f"##{letter}" for letter in letters)]
    # All common characters, since homophones may replace those of the corpus by any of them.
    characters = {character for text in texts for character in text if not character.isspace()}
    return list(dict.fromkeys([*tokens, *sorted(characters | set(common_characters())), *words]))


def write_encoders(folder: Path, vocabulary: Sequence[str], seed: int, text_layers: int = 2) -> None:
    """Save a small HuBERT in ``audio``, a small BERT and its tokenizer in ``text``."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast, HubertConfig, HubertModel

    of_text = {**_SIZES, "num_hidden_layers": text_layers}
    tokenizer = BertTokenizerFast(vocab={token: index for index, token in enumerate(vocabulary)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        audio = HubertModel(HubertConfig(conv_dim=(WIDTH,) * 7, **_SIZES))
        text = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=256, **of_text))
        with torch.no_grad():
            # As large as the words', random positions would hide what is said; training would have made them small.
            text.embeddings.position_embeddings.weight *= 0.1
            text.embeddings.token_type_embeddings.weight *= 0.1
    with _without_bars():
        audio.save_pretrained(folder / "audio")
        text.save_pretrained(folder / "text")
        tokenizer.save_pretrained(folder / "text")


def write_vision(folder: Path, seed: int) -> None:
    """Save a small vision Transformer of patches of 16 x 16 in ``vision``, for systems that see a spectrogram as one."""
    import torch
    from transformers import ViTConfig, ViTModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vision = ViTModel(ViTConfig(image_size=128, patch_size=16, **_SIZES))
    with _without_bars():
        vision.save_pretrained(folder / "vision")


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Within it transformers draws no bars of progress."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
