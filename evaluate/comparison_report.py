"""What a comparison leaves: a csv, a Markdown and a LaTeX table, a picture of intervals, and text for the screen."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..features.durable import write_all_whole
from ..features.tasks import Task
from ..shown import aligned, as_cell, as_line
from .chance import chance_name, shown_answer
from .comparison import LEVEL, SEEDS_FOR_A_MARK, Comparison, Difference, Measured, Row, figures_of, tested_figure
from .lettering import Lettering
from .paper import caution, row_named
from .report import CONSTANT_MARK, FIGURE_NAMES, NOT_SHARES, bracketed, percent, plain
from .uncertainty import CONFIDENCE, has_width
from .units import counted_units

if TYPE_CHECKING:
    import pandas as pd

_MARK = "†"
_BOLD = " The best of each column is bold, unless it is one answer to everything."
_PANELS_ABREAST = 4
_LONGEST_ROW_NAME = 40  # characters of a row's name in the picture


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


def comparison_csv(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """A row per variant, and one for the chance line. Accuracies, F1, recalls and their differences are shares of 1.

    The paper's figures are too. ``<task>_p_over`` says whether p and interval are over recordings, or seeds too;
    ``<task>_constant_seeds`` counts the seeds that answer one class, or value, only.
    """
    records = [_record(comparison, row) for row in comparison.rows]
    columns = list(dict.fromkeys(column for record in records for column in record))
    if comparison.chance:
        records.append(_chance_record(comparison))
    records += [{"variant": variant, "seeds": 0} for variant in failed or ()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_cell, columns))
    writer.writerows([as_cell(record.get(column, "")) for column in columns] for record in records)
    return text.getvalue()


def _record(comparison: Comparison, row: Row) -> dict[str, str | int]:
    record: dict[str, str | int] = {"variant": row.variant, "seeds": len(row.seeds)}
    for task in comparison.tasks:
        cell = row.cells.get(task.name)
        for name in figures_of(task):
            figure = cell.figures[name] if cell else None
            record[f"{task.name}_{name}_mean"] = _number(figure and figure.mean)
            record[f"{task.name}_{name}_std"] = _number(figure and figure.deviation)
            record[f"{task.name}_{name}_low"] = _number(figure and figure.low)
            record[f"{task.name}_{name}_high"] = _number(figure and figure.high)
        difference = cell.difference if cell else None
        record[f"{task.name}_difference"] = _number(difference and difference.value)
        record[f"{task.name}_difference_low"] = _number(difference and difference.low)
        record[f"{task.name}_difference_high"] = _number(difference and difference.high)
        record[f"{task.name}_p"] = _number(difference and difference.p)
        record[f"{task.name}_p_holm"] = _number(difference and difference.p_holm)
        record[f"{task.name}_p_over"] = _over(comparison, difference) if difference else ""
        record[f"{task.name}_marked"] = int(difference.is_marked) if difference else ""
        record[f"{task.name}_constant_seeds"] = len(cell.constant_answers) if cell else ""
        if _has_mcnemar(comparison, task):
            record[f"{task.name}_p_mcnemar"] = _number(cell and cell.mcnemar and cell.mcnemar.p)
        published = _published(row, task)
        record[f"{task.name}_paper"] = _number(None if published is None else published / 100)
    record[f"{comparison.split}_scored"] = row.times_scored
    record["store"] = "; ".join(row.stores)
    record["fingerprint"] = "; ".join(row.fingerprints)
    record["command"] = "; ".join(row.commands)
    record["runs"] = "; ".join(row.runs)
    record["without_width"] = "; ".join(_without_width(comparison, row))
    return record


def _chance_record(comparison: Comparison) -> dict[str, str | int]:
    record: dict[str, str | int] = {"variant": chance_name(comparison.tasks), "seeds": 0}
    for task in comparison.tasks:
        if task.name in comparison.chance:
            for name in figures_of(task):
                record[f"{task.name}_{name}_mean"] = _number(comparison.chance[task.name].figures[name])
    return record


def _without_width(comparison: Comparison, row: Row) -> list[str]:
    """The figures and differences of a row whose intervals say nothing, such as ``five accuracy``."""
    found = []
    for task in comparison.tasks:
        cell = row.cells.get(task.name)
        if cell:
            found += [f"{task.name} {name}" for name, of in cell.figures.items() if not has_width(of.low, of.high)]
            if cell.difference and not has_width(cell.difference.low, cell.difference.high):
                found.append(f"{task.name} difference")
    return found


def _over(comparison: Comparison, difference: Difference) -> str:
    """What a p is over."""
    return f"{comparison.unit}s and seeds" if difference.is_over_seeds else f"{comparison.unit}s only"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def comparison_markdown(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """The table, a table of differences for each task, and how to rerun each row."""
    failed = failed or {}
    reference, compared = comparison.rows[0].variant, len(comparison.rows) - 1
    blocks = [
        f"# Comparison on {_in_markdown(comparison.split)}",
        f"{_in_markdown(_caption(comparison))}{_BOLD}",
        _markdown_table(_main_table(comparison, failed, _Markdown)),
        "\n".join(f"- {_in_markdown(note)}" for note in _notes(comparison, failed)),
    ]
    for task in comparison.tasks:
        blocks += [
            f"## Task {_in_markdown(task.name)}"
            + (f", and differences to {_in_markdown(reference)}" if compared else ""),
            _markdown_table(_difference_table(comparison, task, _Markdown)),
        ]
    blocks += ["## Rerun", "\n".join(_markdown_rerun(row) for row in comparison.rows)]
    return "\n\n".join(blocks) + "\n"


def comparison_latex(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """A floating table for booktabs, the notes after it as text, and how to rerun each row as comments.

    Chinese names stay as they are: they need XeLaTeX or LuaLaTeX with a font that has them.
    """
    failed = failed or {}
    header, *rows = _main_table(comparison, failed, _Latex)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_in_latex(_caption(comparison))}{_BOLD}}}",
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
        *_latex_list([_in_latex(note) for note in _notes(comparison, failed)]),
        *(f"% {line}" for row in comparison.rows for line in _rerun_lines(row)),
    ]
    return "\n".join(lines) + "\n"


def _latex_list(items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [r"\begin{itemize}", *(rf"  \item {item}" for item in items), r"\end{itemize}"]


def table_text(comparison: Comparison, failed: Mapping[str, str] | None = None, brief: bool = False) -> str:
    """The comparison for the screen; ``brief`` without the tables of differences."""
    failed = failed or {}
    blocks = [aligned(_main_table(comparison, failed, _Screen))]
    if len(comparison.rows) > 1 and not brief:
        for task in comparison.tasks:
            blocks.append(aligned(_difference_table(comparison, task, _Screen)))
    blocks.append("\n".join(map(as_line, [_caption(comparison), *_notes(comparison, failed)])))
    return "\n\n".join(blocks)


class _Screen:
    """How a table marks things as plain text."""

    none = "–"
    plus_minus = " ± "
    signs = (f" {_MARK}", f" {CONSTANT_MARK}")
    spaces = ("  ", "  ")  # keep the figures of a column below each other

    @staticmethod
    def text(text: str) -> str:
        return as_line(text)

    @staticmethod
    def best(text: str) -> str:
        return text


class _Markdown(_Screen):
    spaces = ("", "")

    @staticmethod
    def text(text: str) -> str:
        return _in_markdown(text)

    @staticmethod
    def best(text: str) -> str:
        return f"**{text}**"


class _Latex(_Screen):
    none = "--"
    plus_minus = r" $\pm$ "
    signs = (r"$^\dagger$", r"$^\ddagger$")
    spaces = (r"\phantom{$^\dagger$}", r"\phantom{$^\ddagger$}")

    @staticmethod
    def text(text: str) -> str:
        return _in_latex(text)

    @staticmethod
    def best(text: str) -> str:
        return rf"\textbf{{{text}}}"


def _main_table(comparison: Comparison, failed: Mapping[str, str], style: type[_Screen]) -> list[list[str]]:
    """A header and a row for each variant: the tested figure of each task, and the paper's where there are any."""
    beside = {
        task.name for task in comparison.tasks if any(_published(row, task) is not None for row in comparison.rows)
    }
    header = ["variant", "seeds"]
    for task in comparison.tasks:
        header.append(style.text(f"{task.name} ({FIGURE_NAMES['mae']})" if task.is_value else task.name))
        header += [style.text(f"{task.name} (paper)")] if task.name in beside else []
    best = {task.name: _best(comparison, task) for task in comparison.tasks}
    signs = {task.name: _signs(comparison, task, style) for task in comparison.tasks}
    table = [header]
    for row in comparison.rows:
        line = [style.text(row.variant), str(len(row.seeds))]
        for task in comparison.tasks:
            cell = row.cells.get(task.name)
            if cell is None:
                line.append(style.none + signs[task.name][row.variant])
            else:
                is_best = row.variant in best[task.name]
                shown = _mean_and_deviation(cell.figures[tested_figure(task)], task, style, is_best)
                line.append(shown + signs[task.name][row.variant])
            if task.name in beside:
                published = _published(row, task)
                line.append(style.none if published is None else f"{published:.2f}")
        table.append(line)
    if comparison.chance:
        line = [style.text(chance_name(comparison.tasks)), style.none]
        for task in comparison.tasks:
            known = comparison.chance.get(task.name)
            shown = _shown(tested_figure(task))(known.figures[tested_figure(task)]) if known else style.none
            line += [shown + signs[task.name][""]] + ([style.none] if task.name in beside else [])
        table.append(line)
    for variant in failed:
        table.append([style.text(variant), "0", *[style.none] * (len(header) - 2)])
    return table


def _signs(comparison: Comparison, task: Task, style: type[_Screen]) -> dict[str, str]:
    """What follows the figure of each variant, and of none (""): signs, and room for those that others have."""
    has = {"": (False, False)}
    for row in comparison.rows:
        cell = row.cells.get(task.name)
        has[row.variant] = (_is_marked(row, task), bool(cell and cell.constant_answers))
    anywhere = [any(column) for column in zip(*has.values(), strict=True)]
    return {
        variant: "".join(
            sign if own else space if other else ""
            for sign, space, own, other in zip(style.signs, style.spaces, own_signs, anywhere, strict=True)
        )
        for variant, own_signs in has.items()
    }


def _mean_and_deviation(figure: Measured, task: Task, style: type[_Screen], is_best: bool) -> str:
    shown = _shown(tested_figure(task))
    mean = style.best(shown(figure.mean)) if is_best else shown(figure.mean)
    return mean if figure.deviation is None else f"{mean}{style.plus_minus}{shown(figure.deviation)}"


def _difference_table(comparison: Comparison, task: Task, style: type[_Screen]) -> list[list[str]]:
    """A header and a row for each variant that has the task: all its figures, and what separates it from the first."""
    names = figures_of(task)
    tested, others = names[0], names[1:]
    with_test = _has_mcnemar(comparison, task)
    interval = f" [{CONFIDENCE:.0%} interval]"
    header = [
        style.text(task.name),
        FIGURE_NAMES.get(tested, tested) + interval,
        "difference" + interval,
        "over",
        "p",
        "p (Holm)",
    ]
    header += (["McNemar p"] if with_test else []) + [FIGURE_NAMES[name] for name in others]
    table, shown = [header], _shown(tested)
    for row in comparison.rows:
        cell = row.cells.get(task.name)
        if cell is None:
            continue
        figure, difference = cell.figures[tested], cell.difference
        line = [style.text(row.variant), f"{shown(figure.mean)} {bracketed(figure.low, figure.high, shown)}"]
        if difference:
            signed = partial(_signed, shown=shown)
            interval = bracketed(difference.low, difference.high, signed)
            line += [f"{signed(difference.value)} {interval}", _over(comparison, difference)]
            line += [_probability(difference.p), _probability(difference.p_holm)]
        else:
            line += [style.none] * 4
        if with_test:
            line.append(_probability(cell.mcnemar.p) if cell.mcnemar else style.none)
        table.append(line + [_shown(name)(cell.figures[name].mean) for name in others])
    if task.name in comparison.chance:
        chance = comparison.chance[task.name]
        line = [style.text(f"{chance_name([task])} ({chance.answer})"), shown(chance.figures[tested])]
        line += [style.none] * (len(header) - len(others) - 2)
        table.append(line + [_shown(name)(chance.figures[name]) for name in others])
    return table


def _caption(comparison: Comparison) -> str:
    """What the figures of the main table are, and what its mark means."""
    kinds = {task.is_value for task in comparison.tasks}
    figure = "Mean absolute error" if kinds == {True} else "Accuracy in per cent"
    figure += ", mean absolute error of real values," if kinds == {True, False} else ""
    spread = ", mean ± standard deviation over seeds" if any(len(row.seeds) > 1 for row in comparison.rows) else ""
    sentences = [f"{figure} on the split {comparison.split} ({_counted(comparison)}){spread}."]
    if any(_may_be_marked(row) for row in comparison.rows):
        holm = ", corrected by Holm's method over all rows compared on a task" if len(comparison.rows) > 2 else ""
        sentences.append(
            f"{_MARK}: differs from the first row, {comparison.rows[0].variant}, with p < {LEVEL} over"
            f" {comparison.unit}s and seeds (t test of the paired difference{holm})."
        )
    return " ".join(sentences)


def _notes(comparison: Comparison, failed: Mapping[str, str]) -> list[str]:
    """What a reader must know to believe the figures, a sentence or two each."""
    rows, unit = comparison.rows, comparison.unit
    several = [len(row.seeds) > 1 for row in rows]
    seeds = "" if not any(several) else " and seeds" if all(several) else ", of rows of several seeds also over seeds"
    notes = [f"{CONFIDENCE:.0%} intervals are over {unit}s{seeds}."]
    notes += _notes_on_seeds(comparison)
    if comparison.chance:
        answers = ", ".join(f"{chance.answer} ({task})" for task, chance in comparison.chance.items())
        notes.append(
            f"{chance_name(comparison.tasks).capitalize()}: what a model scores that gives this answer of the training"
            f" split to everything: {answers}."
        )
    constant = [_constant_answers(row, comparison.tasks) for row in rows]
    if any(constant):
        named = "; ".join(filter(None, constant))
        notes.append(f"{CONSTANT_MARK}: answers one thing only, whatever it is given: {named}.")
    without_width = [
        f"{row.variant} ({', '.join(found)})" for row in rows if (found := _without_width(comparison, row))
    ]
    if without_width:
        notes.append(
            f"Without any {unit} these figures are the same, so that their intervals have no width and say nothing:"
            f" {'; '.join(without_width)}."
        )
    lacking = {row.variant: sorted(set(comparison.seeds) - set(row.seeds)) for row in rows}
    # Rows that share no seed at all are single runs that somebody compares, and lack nothing.
    if set.intersection(*(set(row.seeds) for row in rows)) and any(lacking.values()):
        missing = [f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in lacking.items() if seeds]
        notes.append(f"Without a result: {'; '.join(missing)}.")
    notes += [f"No seed of {variant} has a result: {why.rstrip('.')}." for variant, why in failed.items()]
    most = max(row.times_scored for row in rows)
    if most > 1:
        notes.append(
            f"One run was scored on {comparison.split} {most} times: figures that were looked at before a choice was"
            " made are too good."
        )
    else:
        notes.append(f"Each run was scored on {comparison.split} once.")
    if any(_published(row, task) is not None for row in rows for task in comparison.tasks):
        notes += [warning for warning in [caution(comparison.split, _most_recordings(comparison))] if warning]
    return [*notes, *comparison.notes]


def _most_recordings(comparison: Comparison) -> int:
    return max(comparison.recordings.values(), default=0)


def _counted(comparison: Comparison) -> str:
    """``88 recordings``, or ``328 segments of 88 recordings``, of the task that has most."""
    if not comparison.tasks:
        return "no labels"
    task = max(comparison.tasks, key=lambda task: comparison.items[task.name])
    count = comparison.recordings[task.name]
    recordings = counted_units("recording", count)
    if comparison.unit != "recording":
        recordings += f" of {counted_units(comparison.unit, comparison.units[task.name])}"
    if task.level == "recording":
        return recordings
    return f"{comparison.items[task.name]:,} segments of {recordings}"


def _has_mcnemar(comparison: Comparison, task: Task) -> bool:
    return any(row.cells[task.name].mcnemar for row in comparison.rows if task.name in row.cells)


def _published(row: Row, task: Task) -> float | None:
    """The paper's accuracy in per cent."""
    published = row_named(row.paper)
    return published.accuracy.get(task.name) if published else None


def _is_marked(row: Row, task: Task) -> bool:
    difference = row.cells[task.name].difference if task.name in row.cells else None
    return difference is not None and difference.is_marked


def _may_be_marked(row: Row) -> bool:
    """Whether it has, on any task, enough seeds."""
    return any(cell.difference and cell.difference.seeds >= SEEDS_FOR_A_MARK for cell in row.cells.values())


def _notes_on_seeds(comparison: Comparison) -> list[str]:
    """Which rows cannot be marked, for want of seeds."""
    compared = [row for row in comparison.rows if any(cell.difference for cell in row.cells.values())]
    few = [row.variant for row in compared if not _may_be_marked(row)]
    if not few:
        return []
    which = "No row is marked" if len(few) == len(compared) else f"Not marked, whatever their p: {', '.join(few)}"
    reason = f"a mark ({_MARK}) needs {SEEDS_FOR_A_MARK} seeds or more of the row and of the first one"
    notes = [f"{which}: {reason}."]
    if any(cell.difference and not cell.difference.is_over_seeds for row in compared for cell in row.cells.values()):
        notes.append(f"A p over {comparison.unit}s only does not account for seeds: another seed may turn it around.")
    return notes


def _constant_answers(row: Row, tasks: Sequence[Task]) -> str:
    """``text (five: C; two: A, 1 of 3 seeds)``; empty for a row without constant answers."""
    found = []
    for task in tasks:
        answers = row.cells[task.name].constant_answers if task.name in row.cells else ()
        if answers:
            shown = ", ".join(dict.fromkeys(shown_answer(task, answer) for answer in answers))
            few = f", {len(answers)} of {len(row.seeds)} seeds" if len(answers) < len(row.seeds) else ""
            found.append(f"{task.name}: {shown}{few}")
    return f"{row.variant} ({'; '.join(found)})" if found else ""


def _best(comparison: Comparison, task: Task) -> set[str]:
    """Variants whose mean is the best as it is shown, so that rows that look equal are treated equally.

    Rows that give one answer to everything are left aside, unless there are no others.
    """
    cells = {row.variant: row.cells[task.name] for row in comparison.rows if task.name in row.cells}
    judged = {variant: cell for variant, cell in cells.items() if not cell.is_constant} or cells
    name = tested_figure(task)
    best = (min if task.is_value else max)(cell.figures[name].mean for cell in judged.values())
    return {variant for variant, cell in judged.items() if _shown(name)(cell.figures[name].mean) == _shown(name)(best)}


def _shown(figure: str) -> Callable[[float], str]:
    return plain if figure in NOT_SHARES else percent


def _signed(value: float, shown: Callable[[float], str]) -> str:
    text = shown(abs(value))
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _markdown_table(table: Sequence[Sequence[str]]) -> str:
    header, *rows = table
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def _markdown_rerun(row: Row) -> str:
    lines = [f"- {_in_markdown(row.variant)}: {_about(row, _in_markdown)}"]
    return "\n".join([*lines, *(f"  - {_markdown_code(command)}" for command in row.commands)])


def _rerun_lines(row: Row) -> list[str]:
    """As plain text; a line's end would end a comment."""
    return [as_line(f"{row.variant}: {_about(row, str)}"), *(f"  {as_line(command)}" for command in row.commands)]


def _about(row: Row, escape: Callable[[str], str]) -> str:
    """Which stores with which fingerprints, how often the row was scored, and which row of the paper stands beside."""
    stores = "; ".join(f"store {escape(store)}" for store in row.stores)
    fingerprints = ", ".join(row.fingerprints)
    often = "once" if row.times_scored == 1 else f"{row.times_scored} times"
    published = row_named(row.paper)
    beside = f"; the paper's {escape(published.name)}, {published.table}, stands beside" if published else ""
    return f"{stores}, fingerprint {fingerprints}, scored {often}{beside}"


def _in_markdown(text: str) -> str:
    """With all that has a meaning in Markdown escaped; an underscore inside a word has none."""
    return re.sub(r"[\\`*|\[\]$]|<(?=[\w/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|^[#>+-]", r"\\\g<0>", as_line(text))


def _markdown_code(text: str) -> str:
    text = as_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


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


def _in_latex(text: str) -> str:
    """With all that has a meaning in LaTeX escaped; two hyphens stay two, as options are written with them."""
    escaped = "".join(_LATEX.get(character, character) for character in as_line(text))
    return escaped.replace("--", "-{}-")


def intervals_png(comparison: Comparison) -> bytes:
    """A panel for each task: each row's mean with its interval, its seeds, and the paper's figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    rows, tasks = comparison.rows, comparison.tasks
    lettering = Lettering()
    names = [_row_name(lettering, row.variant, index) for index, row in enumerate(rows)]
    abreast = max(1, min(len(tasks), _PANELS_ABREAST))
    stacked = max(1, -(-len(tasks) // abreast))
    label_width = 0.085 * max(map(len, names)) + 0.3  # inches
    panel_width, panel_height = {1: 5.0, 2: 3.6}.get(abreast, 2.7), 0.34 * len(rows) + 1.05
    width = max(label_width + panel_width * abreast, 6.5)
    canvas = Canvas(figsize=(width, panel_height * stacked + 0.6), layout="constrained")
    FigureCanvasAgg(canvas)
    panels = canvas.subplots(stacked, abreast, squeeze=False, sharey=True)
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    legend = {}
    for axes, task in zip(panels.flat, tasks, strict=False):
        legend |= _draw_panel(axes, comparison, task, lettering)
        axes.set_yticks(range(len(rows)), names, fontfamily=lettering.fonts)
        axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row is on top, as in the table
    split = lettering.shown(comparison.split, "split")
    canvas.suptitle(f"{split}, {_counted(comparison)}", fontsize=11, fontfamily=lettering.fonts)
    columns = 3 if width > 9 else 2
    canvas.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return png.getvalue()


def _row_name(lettering: Lettering, name: str, index: int) -> str:
    """Short enough; characters that no font has are left out, and the row's number says whose name it is."""
    name = as_line(name)
    short = name if len(name) <= _LONGEST_ROW_NAME else name[: _LONGEST_ROW_NAME - 1] + "…"
    kept = "".join(lettering.shown(character, "") for character in short).strip()
    number = f"row {index + 1}"
    return lettering.shown(short, f"{kept} ({number})" if kept else number)


def _draw_panel(axes, comparison: Comparison, task: Task, lettering: Lettering) -> dict:
    """Draws one task; returns what the legend explains, by its text."""
    from matplotlib.ticker import MaxNLocator

    name = tested_figure(task)
    scale = 1 if name in NOT_SHARES else 100
    legend = {}
    for place, row in enumerate(comparison.rows):
        cell = row.cells.get(task.name)
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=0, linewidth=0)
        if cell:
            figure = cell.figures[name]
            color, shape = ("tab:red", "s") if _is_marked(row, task) else ("tab:blue", "o")
            low, high, mean = (scale * value for value in (figure.low, figure.high, figure.mean))
            axes.plot([low, high], [place, place], color=color, linewidth=1.6, solid_capstyle="butt", zorder=2)
            (dot,) = axes.plot(mean, place, shape, color=color, markersize=6, linestyle="none", zorder=4)
            over = f"{comparison.unit}s{' and seeds' if len(figure.by_seed) > 1 else ''}"
            marked = f"differs from the first row, p < {LEVEL} (Holm)"
            legend[marked if _is_marked(row, task) else f"mean, {CONFIDENCE:.0%} interval over {over}"] = dot
            if place == 0:
                legend["mean of the first row"] = axes.axvline(mean, color="0.55", linewidth=1, linestyle=":", zorder=1)
            if len(figure.by_seed) > 1:
                values = [scale * value for value in figure.by_seed]
                (dots,) = axes.plot(
                    values, [place + 0.26] * len(values), ".", color="0.25", markersize=4.5, alpha=0.8, zorder=3
                )
                legend["single seeds"] = dots
        published = _published(row, task)
        if published is not None:
            (diamond,) = axes.plot(
                published, place, "D", markerfacecolor="white", markeredgecolor="black", markersize=5.5, zorder=3
            )
            legend["paper"] = diamond
    if task.name in comparison.chance:
        chance = scale * comparison.chance[task.name].figures[name]
        legend[chance_name([task])] = axes.axvline(chance, color="tab:orange", linewidth=1.2, linestyle="--", zorder=1)
    axes.set_title(lettering.shown(task.name, "task"), fontsize=10, fontfamily=lettering.fonts)
    axes.set_xlabel("mean absolute error" if task.is_value else "accuracy, %", fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return legend
