"""What is in a store, counted: for ``msmt info``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..shown import as_line
from .fold_table import describe_folds, fold_lines, labels_counted
from .overview import suspicions
from .rows import MISSING
from .segments import EXTRA, ORIGINAL, REMOVED
from .sharing import Shared, recorded_in, shared_between_splits, sharing_lines, sounds_in
from .store import FeatureStore
from .tasks import Task


def describe(store: FeatureStore) -> dict:
    """Dataset, segments per split and label, views, features with specs and states, bytes. Plain JSON types."""
    segments = store.segments
    rows = segments[segments["split"] != REMOVED]
    present = rows[rows["view"] == ORIGINAL]
    views = rows[rows["view"] != ORIGINAL]
    gone = segments[(segments["split"] == REMOVED) & (segments["view"] == ORIGINAL)]
    splits = list(dict.fromkeys(present["split"]))
    files, stretches = sounds_in(store)
    shared = shared_between_splits(segments, files)
    padded = sum(len(segments) * spec.max_rows * spec.row_bytes for spec in store.specs.values())
    return {
        "path": str(store.path),
        "dataset": store.dataset,
        "created": store.head.created,
        "msmt_version": store.head.msmt_version,
        "fingerprint": store.fingerprint(),
        "tasks": [task.to_json() for task in store.tasks],
        "segments": len(present),
        "recordings": int(present["recording_id"].nunique()),
        "removed_segments": len(gone),
        "columns": [column.removeprefix(EXTRA) for column in segments if column.startswith(EXTRA)],
        "views": {view: int(count) for view, count in rows["view"].value_counts(sort=False).items()},
        "splits": {
            split: {
                "recordings": int(present["recording_id"][present["split"] == split].nunique()),
                "segments": int((present["split"] == split).sum()),
                "speakers": present["speaker"][(present["split"] == split) & (present["speaker"] != "")].nunique(),
                "views": {
                    view: int(count)
                    for view, count in views["view"][views["split"] == split].value_counts(sort=False).items()
                },
                "labels": {task.name: labels_counted(task, present[present["split"] == split]) for task in store.tasks},
            }
            for split in splits
        },
        "shared": [{"what": each.what, "splits": list(each.splits), "names": list(each.names)} for each in shared],
        "sharing": _sharing(store, shared),
        "suspicions": suspicions(
            segments, store.tasks, stretches, any(spec.modality == "text" for spec in store.specs.values())
        ),
        "folds": describe_folds(store, files),
        "facts": dict(store.head.facts),
        "features": {name: _feature(store, name, rows.index.to_numpy()) for name in store.specs},
        "bytes_on_disk": store.bytes_on_disk(),
        "bytes_valid": sum(_valid_bytes(store, name) for name in store.specs),
        "bytes_padded": padded,
    }


def table_of(description: Mapping) -> str:
    """The same for the eye."""
    lines = [
        f"{description['path']}: {description['dataset']}, {description['segments']} segments of"
        f" {description['recordings']} recordings, made {description['created']} by msmt {description['msmt_version']}",
        f"fingerprint {description['fingerprint']}",
    ]
    if description["columns"]:
        lines.append(f"with the columns {as_line(', '.join(description['columns']))} of the corpus")
    if description["removed_segments"]:
        lines.append(f"{description['removed_segments']} more rows are of segments that have left the corpus")
    name_width = max([12, *(len(as_line(task["name"])) for task in description["tasks"])])
    for split, content in description["splits"].items():
        speakers = (
            f", {content['speakers']} speaker{'s' if content['speakers'] != 1 else ''}" if content["speakers"] else ""
        )
        counted = f"{content['segments']} segments of {content['recordings']} recordings{speakers}"
        lines += ["", f"{as_line(split)}: {counted}"]
        for task, labels in content["labels"].items():
            shown = "  ".join(f"{as_line(label)} {value:g}" for label, value in labels.items())
            lines.append(f"  {as_line(task):<{name_width}} {shown}")
        if content["views"]:
            shown = "  ".join(f"{as_line(view)} {count}" for view, count in content["views"].items())
            lines.append(f"  {'copies':<{name_width}} {shown}")
    remarks = [*description["sharing"], *(f"warning: {line}" for line in description["suspicions"])]
    lines += ["", *remarks] if remarks else []
    lines += fold_lines(description["folds"], [Task.from_json(task) for task in description["tasks"]])
    width = max(16, 2 + max(map(len, description["features"]), default=0))
    columns = f"{'shape':<20}{'values':<17}{'complete':>10}{'missing':>9}{'mean length':>13}"
    lines += ["", f"{'feature':<{width}}{columns}  made by"]
    for name, feature in description["features"].items():
        spec = feature["spec"]
        rate = f", {spec['sample_rate']} Hz" if spec["sample_rate"] else ""
        rate += f", channel {spec['channel']}" if spec.get("channel") is not None else ""
        rate += ", silence removed" if spec.get("silence") else ""
        layer = f", {_hidden(spec)}" if feature["kind"] in ("speech", "text") else ""
        encoder = f"{as_line(spec['encoder_class'])} {as_line(spec['encoder'])}"
        made_by = f"{as_line(feature['kind'])}: {encoder}{layer}{rate}, {spec['precision']}"
        shape = " x ".join(str(size) for size in feature["shape"])
        values = f"{feature['dtype']} {feature['unit']}s"
        counts = f"{feature['complete']:>10}{feature['missing']:>9}{feature['mean_length']:>13.1f}"
        lines.append(f"{name:<{width}}{shape:<20}{values:<17}{counts}  {made_by}")
    at_another: dict[tuple, list[str]] = {}  # features of one encoder, by how it was heard
    for name, feature in description["features"].items():
        if feature["is_at_another_rate"]:
            spec = feature["spec"]
            rates = f"trained at {feature['trained_rate']:,} Hz and was given {spec['sample_rate']:,} Hz"
            at_another.setdefault((spec["weights"], rates), []).append(name)
    lines += [f"RATE: the encoder of {', '.join(names)} was {rates}" for (_, rates), names in at_another.items()]
    disk, valid, padded = (description[name] for name in ("bytes_on_disk", "bytes_valid", "bytes_padded"))
    against_valid = f", {disk / valid:.3f} x the valid values" if valid else ""
    lines += ["", f"on disk {_size(disk)}{against_valid}; padded it would be {_size(padded)}"]
    return "\n".join(lines)


def _hidden(spec: Mapping) -> str:
    """Which hidden states of an encoder, of what and what of them: ``last layer, 3 turns with speakers, cls``."""
    options = spec.get("options", {})
    joined = options.get("layers")
    if isinstance(joined, Sequence) and len(joined) > 1:
        numbers = ["last" if number == -1 else as_line(number) for number in joined]
        said = [f"layers {', '.join(numbers[:-1])} and {numbers[-1]} side by side"]
    else:
        said = ["last layer" if spec["layer"] == -1 else f"layer {spec['layer']}"]
    if "turns" in options:
        turns = f"{as_line(options['turns'])} turn{'' if options['turns'] == 1 else 's'}"
        said.append(turns + (" with speakers" if options.get("speakers") else ""))
    return ", ".join([*said, *([as_line(options["pool"])] if "pool" in options else [])])


def _sharing(store: FeatureStore, shared: Sequence[Shared]) -> list[str]:
    """What splits have in common by the rows, and by what the store was told where the rows alone do not show it."""
    shown = {each.splits for each in shared if each.what == "audio"}
    recorded = [(splits, what) for splits, what in recorded_in(store.head.facts) if splits not in shown]
    told = [f"{as_line(' and '.join(splits))} share {what}" for splits, what in recorded]
    return [*told, *(sharing_lines(shared, store.segments) if shared or not told else [])]


def _feature(store: FeatureStore, name: str, present: np.ndarray) -> dict:
    spec, lengths = store.specs[name], store.lengths(name)[present]
    complete = lengths[lengths != MISSING]
    return {
        "shape": [len(store.segments), spec.max_rows, spec.width],
        "dtype": spec.dtype,
        "unit": spec.unit,
        "kind": spec.kind,
        "complete": len(complete),
        "missing": len(lengths) - len(complete),
        "mean_length": float(complete.mean()) if len(complete) else 0.0,
        "chunk_rows": store.head.features[name].chunk_rows,
        "fingerprint": spec.fingerprint,
        "trained_rate": spec.trained_rate if spec.sample_rate else None,
        "is_at_another_rate": spec.is_at_another_rate,
        "spec": spec.to_json(),
    }


def _valid_bytes(store: FeatureStore, name: str) -> int:
    return int(np.maximum(store.lengths(name), 0).sum()) * store.specs[name].row_bytes


def _size(count: int) -> str:
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
