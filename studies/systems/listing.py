"""What ``msmt systems`` shows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from ...evaluate.published.registry import CORPORA
from ...evaluate.report import NOT_SHARES, heading
from ...train.config import slot_option
from ...train.models.registry import NETWORKS
from .asking import as_file
from .contract import Preset, Row, System, alternatives
from .registry import ALL_SYSTEMS, SYSTEMS, system_named

_WIDTH = 112


def lines_of_systems() -> list[str]:
    """Every system in a line, and what to type next."""
    lines = []
    for system in map(system_named, SYSTEMS):
        away = ", ".join(each for each in system.networks if each not in NETWORKS)
        presets = ", ".join(f"{preset.name} ({len(preset.rows)})" for preset in system.presets)
        lines += ["", *_wrapped(f"{system.name}: {system.paper}", "")]
        lines += _wrapped(f"network: {', '.join(system.networks)}" + (f" (not here: {away})" if away else ""), "  ")
        lines += _wrapped(f"features: {', '.join(feature.name for feature in system.features)}", "  ")
        lines += _wrapped(f"presets of msmt ablate, with their rows: {presets}", "  ")
    lines += ["", f"All at once, on one store: msmt ablate --preset {ALL_SYSTEMS}", "One of them: msmt systems NAME"]
    return lines[1:]


def lines_of_system(system: System, dataset: str = "") -> list[str]:
    """All of one system: its features as a file, the settings of its paper, its rows with figures, its readings."""
    lines = _wrapped(f"{system.name}: {system.paper}", "")
    lines += ["", "Features, as a file for msmt extract --features", "", *features_yaml(system, dataset)]
    given = [feature for feature in system.features if feature.given]
    if given:
        lines += ["", f"To give, as in msmt extract --preset {system.name} --given {given[0].given.name}=PATH"]
    for feature in given:
        may = f"; without it {feature.name} is left out" if feature.is_optional else ""
        lines += _wrapped(f"{feature.given.name}: {feature.given.what}{may}", "  ")
    lines += [
        f"  {each.name} is made where {each.instead_of} is not given" for each in system.features if each.instead_of
    ]
    for network, settings in system.training.items():
        lines += ["", f"Settings of the paper: msmt train --model {network} --preset paper", ""]
        lines += _wrapped(", ".join(f"{name} {_written(value)}" for name, value in settings.items()), "  ")
    for preset in system.presets:
        lines += ["", *_wrapped(f"msmt ablate --preset {preset.name}: {preset.about}", ""), ""]
        for row in preset.rows:
            lines += _lines_of_row(system, preset, row)
    lines += ["", "Readings"]
    for reading in system.readings:
        switch = f" [{reading.switch}]" if reading.switch else ""
        lines += ["", *_wrapped(f"The paper: {reading.says}.", "  "), *_wrapped(f"Here: {reading.read}.{switch}", "  ")]
    return lines


def features_yaml(system: System, dataset: str = "") -> list[str]:
    """Its features, such that a file of these lines could be given to ``--features``."""
    entries = as_file(system, dataset)
    width = max(map(len, entries))
    return ["features:", *(f"  {name + ':':<{width + 1}} {_mapping(options)}" for name, options in entries.items())]


def _mapping(options: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{name}: {_written(value)}" for name, value in options.items()) + "}"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def _lines_of_row(system: System, preset: Preset, row: Row) -> list[str]:
    """What a row changes, what it learns from, and what was published of it."""
    settings = {**preset.options, **system.training.get(str(row.options.get("model", "")), {})}
    changes = {name: value for name, value in row.options.items() if settings.get(name) != value}
    if len(system.networks) == 1:
        changes.pop("model", None)
    slots = {slot: alternatives(wanted)[0] for slot, wanted in row.slots.items()}
    said = [", ".join(f"{name} {_written(value)}" for name, value in changes.items()), slot_option(slots)]
    said.append(figures_of(preset, row))
    return _wrapped(f"{row.name:<{max(len(each.name) for each in preset.rows)}}  {'; '.join(filter(None, said))}", "  ")


def figures_of(preset: Preset, row: Row) -> str:
    """``MELD emotion: weighted F1 66.28``: what was published of a row, on the corpora and tasks of its preset."""
    found = []
    for dataset, corpus in CORPORA.items():
        for published in corpus.rows if preset.dataset in ("", dataset) else ():
            if row.paper and published.name == row.paper:
                for task, figures in published.figures.items():
                    if not preset.tasks or task in preset.tasks:
                        found.append(f"{corpus.title} {task}: {_figures(figures)}")
    return "; ".join(dict.fromkeys(found))


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(
        f"{heading(name)} {number:.3f}" if name in NOT_SHARES else f"{heading(name)} {number:.2f}"
        for name, number in figures.items()
    )


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)
