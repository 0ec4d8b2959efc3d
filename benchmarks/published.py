"""One training step of the published way: encoders and fusion network together, everything padded.

This is what MSMT-FN's authors describe (sections 3.3 and 4.2 of the paper) and what most code for such models does: the
waveforms go through HuBERT and the transcripts through RoBERTa in every step, forward and backward, with attention
written out, at the length of the longest input allowed (320,000 samples, 199 tokens), and the fusion network sees
padded features. The fusion network here is msmt's own, on rows of which the padded ones are not left out.
"""

from __future__ import annotations

import torch
from msmt.train.models.msmt_fn import MsmtFn
from msmt.train.rows import Rows
from torch import Tensor
from torch.nn.functional import cross_entropy

SAMPLES, TOKENS = 320_000, 199


class Published(torch.nn.Module):
    """Encoders of the base size and the fusion network."""

    def __init__(self, network: MsmtFn) -> None:
        from transformers import BertConfig, BertModel, HubertConfig, HubertModel

        super().__init__()
        eager = {"attn_implementation": "eager"}
        # Time masking is left out: it changes values and not the work.
        self.audio = HubertModel(HubertConfig(apply_spec_augment=False, **eager))
        self.text = BertModel(BertConfig(**eager))
        self.network = network

    def forward(
        self, samples: Tensor, audio_mask: Tensor, tokens: Tensor, text_mask: Tensor, counts
    ) -> dict[str, Tensor]:
        """(S, 320,000) samples and (S, 199) tokens with their masks -> the outputs of each task."""
        audio = self.audio(samples, attention_mask=audio_mask).last_hidden_state  # (S, 999, 768)
        text = self.text(tokens, attention_mask=text_mask).last_hidden_state  # (S, 199, 768)
        features = {
            name: Rows(values.flatten(0, 1), (values.shape[1],) * len(values))
            for name, values in {"audio": audio, "text": text}.items()
        }
        return self.network(features, counts)


def step_of(model: Published, seconds: float, tokens: int, segments: int, device: torch.device, precision: str):
    """A function that does one training step on one recording of ``segments`` segments, and the optimizer's too."""
    samples = torch.zeros(segments, SAMPLES)
    audio_mask = torch.zeros(segments, SAMPLES, dtype=torch.long)
    text_mask = torch.zeros(segments, TOKENS, dtype=torch.long)
    real = round(seconds * 8000)
    samples[:, :real] = torch.randn(segments, real)
    audio_mask[:, :real], text_mask[:, :tokens] = 1, 1
    ids = torch.randint(5, 1000, (segments, TOKENS)) * text_mask
    inputs = [tensor.to(device) for tensor in (samples, audio_mask, ids, text_mask)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    model.train()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            outputs = model(*inputs, (segments,))
            loss = sum(
                cross_entropy(values.float(), torch.zeros(len(values), dtype=torch.long, device=device))
                for values in outputs.values()
            )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
