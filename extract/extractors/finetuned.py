"""What the folder of an encoder that msmt has fine-tuned says of where its labels came from."""

from __future__ import annotations

import json
from pathlib import Path

from ...shown import as_line

CARD = "msmt.json"  # in an encoder's folder
_MOST_BYTES = 1_000_000


def remarks_of(source: str, features: tuple[str, ...]) -> tuple[str, ...]:
    """What to say of features whose encoder has seen labels; nothing of one that has not, or does not say so."""
    path = Path(source).expanduser() / CARD
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ()
        source_of_labels = json.loads(path.read_text(encoding="utf-8"))["trained_on"]
        names = ", ".join(features)
        if "dataset" in source_of_labels:
            where, scheme = as_line(source_of_labels["dataset"]), as_line(source_of_labels["scheme"])
            return (
                f"{names}: its encoder was fine-tuned on the training split of {where} (scheme {scheme}); with other"
                f" splits of {where}, test segments would be among what it has learnt from",
            )
        return (f"{names}: its encoder was fine-tuned on {as_line(source_of_labels['csv'])}",)
    except (OSError, ValueError, KeyError, TypeError):
        return ()
