"""A tiny language model with random weights and a chat template: what it answers is rubbish."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_WORDS = "what do you say to that perhaps tomorrow there is one more of these things here".split()
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)


def write_chat_model(folder: Path, words: list[str] = _WORDS, seed: int = 0, positions: int = 512) -> Path:
    """Save one that speaks ``words``, and reads anything, with what it does not know as one token."""
    vocabulary = {
        word: number for number, word in enumerate(["<unk>", "<pad>", "<end>", "user", "assistant", ":", *words])
    }
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", pad_token="<pad>", eos_token="<end>", chat_template=_TEMPLATE
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=positions,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
