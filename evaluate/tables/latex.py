"""A comparison as a table of LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...shown import as_line
from ..results import Comparison, Row
from .cells import BOLD, Screen, main_table
from .notes import caption, notes_on
from .rows import about

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "[": "{[}",  # what follows a line's end in brackets, or as a star, would be taken for its argument
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "−": "$-$",
    "–": "--",
    "…": r"\dots{}",
}


def in_latex(text: str) -> str:
    """With all that has a meaning in LaTeX escaped; two hyphens stay two, as options are written with them."""
    escaped = "".join(_LATEX.get(character, character) for character in as_line(text))
    return escaped.replace("--", "-{}-")


class Latex(Screen):
    none = "--"
    plus_minus = r" $\pm$ "
    signs = (r"$^\dagger$", r"$^\ddagger$")
    spaces = (r"\phantom{$^\dagger$}", r"\phantom{$^\ddagger$}")

    @staticmethod
    def text(text: str) -> str:
        return in_latex(text)

    @staticmethod
    def best(text: str) -> str:
        return rf"\textbf{{{text}}}"


def comparison_latex(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """A floating table for booktabs, the notes after it as text, and how to rerun each row as comments.

    Chinese names stay as they are: they need XeLaTeX or LuaLaTeX with a font that has them.
    """
    failed = failed or {}
    header, *rows = main_table(comparison, failed, Latex)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{in_latex(caption(comparison))}{BOLD}}}",
        r"  \small",
        rf"  \begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(header)} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(row)} \\\\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        "",
        *_latex_list([in_latex(note) for note in notes_on(comparison, failed)]),
        *(f"% {line}" for row in comparison.rows for line in rerun_lines(row)),
    ]
    return "\n".join(lines) + "\n"


def _latex_list(items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [r"\begin{itemize}", *(rf"  \item {item}" for item in items), r"\end{itemize}"]


def rerun_lines(row: Row) -> list[str]:
    """As plain text; a line's end would end a comment."""
    return [as_line(f"{row.variant}: {about(row, str)}"), *(f"  {as_line(command)}" for command in row.commands)]
