"""Small encoders of the real classes with random weights, and small corpora of tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    RobertaConfig,
    RobertaModel,
    UniSpeechConfig,
    UniSpeechModel,
    UniSpeechSatConfig,
    UniSpeechSatModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

AUDIO_CLASSES = {
    "hubert": (HubertModel, HubertConfig),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config),
    "wavlm": (WavLMModel, WavLMConfig),
    "data2vec": (Data2VecAudioModel, Data2VecAudioConfig),
    "unispeech": (UniSpeechModel, UniSpeechConfig),
    "unispeech-sat": (UniSpeechSatModel, UniSpeechSatConfig),
}
TEXT_CLASSES = {
    "bert": (BertModel, BertConfig, 256),
    "roberta": (RobertaModel, RobertaConfig, 82),
    "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig, 82),
}
_SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
_WORDS = "customer agent hello yes no price thanks bye the a".split() + list("你好我要买不贵谢")


def audio_encoder(kind: str = "hubert", norm: str = "group", **changes) -> torch.nn.Module:
    """Base models: ``norm="group"``; large models: ``norm="layer"``, norms before each half of a layer, biases."""
    model, config = AUDIO_CLASSES[kind]
    large = {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer", "conv_bias": norm == "layer"}
    positions = {} if kind == "data2vec" else {"num_conv_pos_embeddings": 16}
    torch.manual_seed(0)
    widths = {"conv_dim": (24,) * 7, "num_conv_pos_embedding_groups": 4}
    return _as_if_trained(model(config(**{**_SMALL, **large, **positions, **widths, **changes})))


def text_encoder(kind: str = "bert", **changes) -> torch.nn.Module:
    model, config, positions = TEXT_CLASSES[kind]
    torch.manual_seed(0)
    return _as_if_trained(
        model(config(**{**_SMALL, "vocab_size": 60, "max_position_embeddings": positions, **changes}))
    )


def _as_if_trained(model: torch.nn.Module) -> torch.nn.Module:
    """With biases, norms and relative positions that are not zero or one, so that to forget one of them shows."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.dim() == 1 or "rel_" in name:
                values += 0.1 * torch.randn(values.shape)
    return model.eval()


def tokenizer() -> BertTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS]
    return BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})


def save_encoders(folder: Path) -> tuple[Path, Path]:
    """Folders of a small HuBERT and a small BERT with tokenizer."""
    audio, text = folder / "encoders/audio", folder / "encoders/text"
    audio_encoder().save_pretrained(audio)
    text_encoder().save_pretrained(text)
    tokenizer().save_pretrained(text)
    return audio, text


def speech_like(seconds: float, rate: int = 8000, seed: int = 0) -> np.ndarray:
    """A tone that comes and goes over noise, float32 within -1 and 1."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * random.uniform(100, 300) * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    return (0.3 * tone + 0.02 * random.standard_normal(len(time))).astype(np.float32)


def write_calls(data: Path, recordings: int = 9, segments: int = 2, rate: int = 8000) -> pd.DataFrame:
    """A corpus in the MarketCalls layout; segments last from 0.3 to 2 s. Returns all its rows."""
    (data / "audio").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows = []
    for recording in range(recordings):
        split = ("train", "train", "train", "val", "test")[recording % 5]
        for number in range(1, segments + 1):
            name = f"call{recording}_{number}.wav"
            soundfile.write(data / "audio" / name, speech_like(random.uniform(0.3, 2.0), rate, len(rows)), rate)
            text = " ".join(random.choice(_WORDS, 5))
            rows.append((split, f"call{recording}", name, number, text, "ABCD"[recording % 4]))
    table = pd.DataFrame(rows, columns=["split", "phone", "Audio_id", "Segment_number", "text", "label"])
    for split in ("train", "val", "test"):
        table[table["split"] == split].drop(columns="split").to_csv(data / f"{split}.csv", index=False)
    return table
