"""Text in figures: in characters that an installed font has, and short enough."""

from __future__ import annotations

from collections.abc import Sequence

from ..shown import as_line

_LONGEST_NAME = 16  # characters of a class name in a figure
# Tried in this order for class names that matplotlib's own font cannot show.
_CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Heiti SC",
    "Droid Sans Fallback",
)


class Lettering:
    """Which fonts are there, and what of a text they can show."""

    def __init__(self) -> None:
        from matplotlib import font_manager

        installed = set(font_manager.get_font_names())
        self.fonts = ["DejaVu Sans"] + [font for font in _CHINESE_FONTS if font in installed]
        self._known = [font_manager.get_font(font_manager.findfont(font)).get_charmap() for font in self.fonts]

    def shown(self, text: str, otherwise: str) -> str:
        """``text`` in one line, or ``otherwise`` if no font can show it."""
        text = as_line(text)
        if not all(any(ord(character) in known for known in self._known) for character in text):
            return otherwise
        return text.replace("$", r"\$")  # matplotlib reads formulas between dollars

    def class_names(self, classes: Sequence[str]) -> list[str]:
        """Names that cannot be shown become ``class 3``, counted from 0 as in the metrics file."""
        classes = [as_line(name) for name in classes]
        short = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in classes]
        return [self.shown(name, f"class {index}") for index, name in enumerate(short)]
