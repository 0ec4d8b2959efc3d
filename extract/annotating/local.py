"""A language model that transformers runs here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import torch

from ...errors import EncoderError
from ..extractors.loading import choose_device, load_tokenizer, place_of_model
from .answering import Answerer, RefusedError, Stopped
from .asked import Messages
from .config import AnnotateOptions
from .journal import Answer

_FEW_BYTES = 1 << 20  # of each end of a large file, which stand for it


class LocalModel(Answerer):
    """Answers by the most likely token each time; questions are answered several at a time, padded on the left."""

    def __init__(self, options: AnnotateOptions, for_counting: bool = False) -> None:
        """With ``for_counting`` only the tokenizer is loaded. Raises EncoderError."""
        revision, where = place_of_model(options.local, "--local")
        self.tokenizer = load_tokenizer(options.local, where)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        if self.tokenizer.pad_token_id is None:
            raise EncoderError(f"{options.local}: its tokenizer has no padding and no end of text")
        self.title, self.together = f"{options.local}, run here", options.concurrency
        self.most = options.answer_tokens or 512
        weights = revision or _digest_of_folder(Path(options.local).expanduser())
        self.settings = {"model": Path(options.local).name, "weights": weights, "answer_tokens": self.most}
        if not for_counting:
            self.device = choose_device(options.device)
            self.model = _load(options.local, where).to(self.device).eval()

    def prompt(self, messages: Messages) -> str:
        """The messages as the model was trained to read them; where it knows no conversation, one after another."""
        if getattr(self.tokenizer, "chat_template", None):
            return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return "\n\n".join(each["content"] for each in messages) + "\n"

    def count_tokens(self, messages: Messages) -> int:
        return len(self._tokens([self.prompt(messages)])["input_ids"][0])

    @torch.inference_mode()
    def answers(self, questions: Sequence[Messages], ended: Event) -> list[Answer | RefusedError]:
        if ended.is_set():
            raise Stopped
        prompts = [self.prompt(messages) for messages in questions]
        counts = [len(each) for each in self._tokens(prompts)["input_ids"]]
        limit = getattr(self.model.config, "max_position_embeddings", None) or max(counts) + self.most
        fits = [count + self.most <= limit for count in counts]
        replies: list[Answer | RefusedError] = [
            RefusedError(f"refused: {count} tokens, and the model takes {limit} with its answer") for count in counts
        ]
        asked = [number for number, is_short in enumerate(fits) if is_short]
        if not asked:
            return replies
        batch = self._tokens([prompts[number] for number in asked], padding=True, return_tensors="pt").to(self.device)
        made = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=self.most,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        for number, tokens in zip(asked, made[:, batch["input_ids"].shape[1] :], strict=True):
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            replies[number] = Answer(text, counts[number], int((tokens != self.tokenizer.pad_token_id).sum()))
        return replies

    def _tokens(self, prompts: Sequence[str], **options):
        # A template writes the special tokens itself.
        has_template = bool(getattr(self.tokenizer, "chat_template", None))
        return self.tokenizer(list(prompts), add_special_tokens=not has_template, verbose=False, **options)


def _load(source: str, where: dict) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            source, dtype="auto", trust_remote_code=False, output_loading_info=True, **where
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = str(error).strip().splitlines()
        reason = said[0].rstrip(".")[:200] if said else type(error).__name__
        raise EncoderError(f"{source}: cannot be loaded as a language model ({reason})") from error
    if report["missing_keys"] or report.get("mismatched_keys"):
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise EncoderError(f"{source}: the weights lack or misfit {names}, …; they would be random")
    return model


def _digest_of_folder(folder: Path) -> str:
    """A hash of a folder's files by name, size and content; of a large file its two ends count."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as file:
            digest.update(file.read(_FEW_BYTES))
            if size > 2 * _FEW_BYTES:
                file.seek(-_FEW_BYTES, 2)
            digest.update(file.read(_FEW_BYTES))
    return digest.hexdigest()[:32]
