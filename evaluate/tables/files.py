"""The files of a comparison, all of them whole or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...features.durable import write_all_whole
from ...shown import as_cell
from ..results import Comparison
from .latex import comparison_latex
from .markdown import comparison_markdown
from .picture import intervals_png
from .records import comparison_csv

if TYPE_CHECKING:
    import pandas as pd


def write_comparison(
    folder: Path,
    stem: str,
    comparison: Comparison,
    disagreements: pd.DataFrame | None = None,
    failed: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``<stem>.csv``, ``.md``, ``.tex`` and ``.png`` into ``folder``; returns their paths in this order.

    ``disagreements`` are written as ``<stem>-disagreements.csv``. ``failed`` says of variants that have no result
    why; each gets a row without figures.
    """
    folder, failed = Path(folder), dict(failed or {})
    contents = {
        f"{stem}.csv": comparison_csv(comparison, failed).encode(),
        f"{stem}.md": comparison_markdown(comparison, failed).encode(),
        f"{stem}.tex": comparison_latex(comparison, failed).encode(),
        f"{stem}.png": intervals_png(comparison),
    }
    if disagreements is not None:
        contents[f"{stem}-disagreements.csv"] = (
            disagreements.map(as_cell).rename(columns=as_cell).to_csv(index=False).encode()
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_all_whole({folder / name: [content] for name, content in contents.items()})
    return [folder / name for name in contents]
