"""A comparison as a picture: each row's interval, its seeds and folds, and the paper's figure."""

from __future__ import annotations

import io

from ...features.tasks import Task
from ...shown import as_line
from ..chance import chance_name
from ..lettering import Lettering
from ..report import FIGURE_NAMES, NOT_SHARES
from ..results import LEVEL, Comparison, tested_figure
from ..uncertainty import CONFIDENCE
from .notes import counted
from .rows import is_marked, paper_figure

_PANELS_ABREAST = 4
_LONGEST_ROW_NAME = 40  # characters of a row's name


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
    width = max(label_width + panel_width * abreast, 7.6)  # the legend has two columns at least
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
    folds = f" of {len(comparison.folds)} folds" if comparison.folds else ""
    canvas.suptitle(f"{split}{folds}, {counted(comparison)}", fontsize=11, fontfamily=lettering.fonts)
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
            color, shape = ("tab:red", "s") if is_marked(row, task) else ("tab:blue", "o")
            low, high, mean = (scale * value for value in (figure.low, figure.high, figure.mean))
            axes.plot([low, high], [place, place], color=color, linewidth=1.6, solid_capstyle="butt", zorder=2)
            (dot,) = axes.plot(mean, place, shape, color=color, markersize=6, linestyle="none", zorder=4)
            over = f"{comparison.unit}s{' and seeds' if len(figure.by_seed) > 1 else ''}"
            marked = f"differs from the first row, p < {LEVEL} (Holm)"
            legend[marked if is_marked(row, task) else f"mean, {CONFIDENCE:.0%} interval over {over}"] = dot
            if place == 0:
                legend["mean of the first row"] = axes.axvline(mean, color="0.55", linewidth=1, linestyle=":", zorder=1)
            if len(figure.by_seed) > 1:
                values = [scale * value for value in figure.by_seed]
                (dots,) = axes.plot(
                    values, [place + 0.26] * len(values), ".", color="0.25", markersize=4.5, alpha=0.8, zorder=3
                )
                legend["single seeds"] = dots
            if figure.folds:
                values = [scale * value for value in figure.folds.by_fold]
                (rings,) = axes.plot(
                    values,
                    [place - 0.26] * len(values),
                    "o",
                    markerfacecolor="none",
                    markeredgecolor="tab:green",
                    markersize=3.8,
                    zorder=3,
                )
                legend["single folds"] = rings
        published = paper_figure(row, task, name)
        if published is not None:
            (diamond,) = axes.plot(
                published, place, "D", markerfacecolor="white", markeredgecolor="black", markersize=5.5, zorder=3
            )
            legend["paper"] = diamond
    if task.name in comparison.chance:
        chance = scale * comparison.chance[task.name].figures[name]
        legend[chance_name([task])] = axes.axvline(chance, color="tab:orange", linewidth=1.2, linestyle="--", zorder=1)
    axes.set_title(lettering.shown(task.name, "task"), fontsize=10, fontfamily=lettering.fonts)
    axes.set_xlabel("mean absolute error" if task.is_value else f"{FIGURE_NAMES[name]}, %", fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return legend
