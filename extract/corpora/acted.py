"""The acted corpora whose file names are their annotation: EMO-DB, RAVDESS and CREMA-D.

As downloaded they are wav files in a folder, or in one for each actor; what the names say is in acted_names.py. Each
file is a recording of one segment. They bring no splits: those of speaker_folds.py follow from the speakers' numbers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from ...errors import CorpusError
from ...features.segments import SCHEME
from ...features.splits import TEST, TRAIN, VALIDATION
from ...features.tasks import Task
from .acted_names import CORPORA, ActedCorpus
from .arranging import Listing, listing_of, preferred
from .config import CorpusOptions
from .contract import Adapter, Aside, Count, Reading
from .speaker_folds import FOLDS, dealt, family_fact, fold_columns, standard_splits

TASK = "emotion"
FAMILY, EACH_SPEAKER = "folds", "speakers"

_SPLITS = (TRAIN, VALIDATION, TEST)
_POINTER = b"version https://git-lfs"  # what a repository has in place of a large file that was not fetched
_LARGEST_POINTER = 1024  # bytes
_NAMED = 3  # of many folders, in a line
_MOST_NAMED = 12  # speakers that are absent, in a line


def read(corpus: ActedCorpus, data_dir: Path, options: CorpusOptions) -> Reading:
    """Find one of these corpora in a folder. Raises CorpusError where no file of it is there."""
    listing = listing_of(data_dir)
    named, orphans, left_out = _named(corpus, listing)
    if not named:
        raise CorpusError(_nothing(corpus, listing, left_out))
    chosen, more_orphans, more_left_out = _one_each(named, listing)
    orphans, left_out = orphans + more_orphans, left_out + more_left_out
    notes = [*listing.notes, *_lines_of_pointers(data_dir, chosen.values())]
    task = Task(TASK, corpus.classes, "segment")
    items = _items(corpus, task, chosen)
    schemes, lines = _add_folds(corpus, items)
    notes += [*_lines_of_absent(corpus, task, items), *lines]
    is_wav = {name: path.lower().endswith((".wav", ".flac")) for name, path in chosen.items()}
    defects = [*corpus.defects, *(one for one in corpus.defects_unless_wav if not is_wav.get(one.item, True))]
    return Reading(
        corpus.name,
        data_dir,
        _arrangement(corpus, items),
        items,
        (task,),
        _counts(corpus),
        tuple(defects),
        tuple(orphans),
        tuple(left_out),
        tuple(notes),
        schemes,
        corpus.longest,
    )


ADAPTERS = {name: Adapter(name, corpus.title, partial(read, corpus)) for name, corpus in CORPORA.items()}


def item_name(corpus: ActedCorpus, codes: Mapping[str, str]) -> str:
    """What an item of these codes is called: its segment, its recording, and its file but for the extension."""
    return corpus.called.format(**codes)


def _named(corpus: ActedCorpus, listing: Listing) -> tuple[dict[str, list[str]], list[Aside], list[Aside]]:
    """The files of each item by its name, the files that are called otherwise, and those that are not taken."""
    named: dict[str, list[str]] = {}
    orphans, left_out = [], []
    for path in listing.media:
        codes = _codes(corpus, path)
        if codes is None:
            orphans.append(Aside(path, f"for they are not called like {corpus.example}"))
        elif reason := _reason_against(corpus, codes):
            left_out.append(Aside(path, reason, origin=path))
        else:
            named.setdefault(item_name(corpus, codes), []).append(path)
    return named, orphans, left_out


def _codes(corpus: ActedCorpus, path: str) -> dict[str, str] | None:
    """What the name of a file says, by what it is about, spelt as in acted_names.py; None for any other name."""
    stem = PurePosixPath(path).stem.strip()
    match = corpus.pattern.fullmatch(corpus.misspelt.get(stem.upper(), stem))
    if not match:
        return None
    codes = {group: code.lower() for group, code in match.groupdict().items()}
    for group, known in _tables(corpus).items():
        spelt = {code.lower(): code for code in known}
        codes[group] = spelt.get(codes[group], codes[group])
    return codes


def _tables(corpus: ActedCorpus) -> dict[str, Mapping[str, str]]:
    """What codes there are, by what they are about."""
    tables = {"speaker": corpus.sexes, "emotion": corpus.emotions, "sentence": corpus.sentences}
    return {**tables, "intensity": corpus.intensities} if corpus.intensities else tables


def _reason_against(corpus: ActedCorpus, codes: Mapping[str, str]) -> str:
    """Why a file is not taken; empty where it is."""
    for (group, code), reason in corpus.not_taken.items():
        if codes[group] == code:
            return reason
    for group, known in _tables(corpus).items():
        if codes[group] not in known:
            return f"{corpus.name} has no {group} {codes[group]}"
    return ""


def _one_each(named: Mapping[str, Sequence[str]], listing: Listing) -> tuple[dict[str, str], list[Aside], list[Aside]]:
    """The file of each item that is heard, others that claim to be it, and its copies, in any form."""
    chosen: dict[str, str] = {}
    rivals, copies = [], []
    for name, paths in sorted(named.items()):
        fetched = [path for path in paths if not _is_pointer(listing.root / path)] or paths
        form = PurePosixPath(preferred(fetched)).suffix.lower()
        alike = [path for path in fetched if PurePosixPath(path).suffix.lower() == form]
        chosen[name] = min(alike, key=lambda path: (path.count("/"), path))
        for path in paths:
            if path not in fetched:
                copies.append(Aside(path, "they are pointers of git-lfs to what is there in another form", origin=path))
            elif path not in alike:
                copies.append(Aside(path, f"the same is there as {form}", origin=path))
            elif path != chosen[name] and _size(listing, path) == _size(listing, chosen[name]):
                copies.append(Aside(path, "a file of the same name and size is taken", origin=path))
            elif path != chosen[name]:
                rivals.append(Aside(path, "for one of the same name and another size is taken"))
    return chosen, rivals, copies


def _size(listing: Listing, path: str) -> int:
    """Bytes; -1 for a link that leads nowhere."""
    try:
        return (listing.root / path).stat().st_size
    except OSError:
        return -1


def _items(corpus: ActedCorpus, task: Task, chosen: Mapping[str, str]) -> pd.DataFrame:
    split_of = standard_splits(corpus.sexes, corpus.parts)
    rows = []
    for name, path in chosen.items():
        codes = _codes(corpus, path)
        row = {
            "origin": path,
            "split": split_of[codes["speaker"]],
            "recording_id": name,
            "segment_id": name,
            "index": 1,
            "audio": path,
            "text": corpus.sentences[codes["sentence"]],
            "speaker": codes["speaker"],
            task.column: task.classes.index(corpus.emotions[codes["emotion"]]),
            "extra_sex": corpus.sexes[codes["speaker"]],
            "extra_sentence": codes["sentence"],
            "stated": math.nan,
        }
        if corpus.intensities:
            row["extra_intensity"] = corpus.intensities[codes["intensity"]]
        rows.append(row)
    return pd.DataFrame(rows)


def _add_folds(corpus: ActedCorpus, items: pd.DataFrame) -> tuple[dict[str, dict], list[str]]:
    """Add the columns of each family of folds to the items; what a store keeps of the families, and lines on them."""
    families = {FAMILY: (dealt(corpus.sexes, FOLDS), [f"fold{number + 1}" for number in range(FOLDS)])}
    if corpus.by_each_speaker:
        alone = {speaker: place for place, speaker in enumerate(corpus.sexes)}
        families[EACH_SPEAKER] = (alone, [f"speaker{speaker}" for speaker in alone])
    schemes, lines = {}, []
    for family, (part_of, names) in families.items():
        columns = fold_columns(items["speaker"].tolist(), part_of, names)
        for name, splits in columns.items():
            items[SCHEME + name] = splits
        if columns:
            schemes[family] = family_fact(list(columns))
        absent = [name for name in names if name not in columns]
        if absent and columns:
            lines.append(f"{family}: there is no {_listed(absent)}, for none of the speakers it would test is there")
        elif absent:
            lines.append(f"{family}: there are none, for too few speakers are there to train, validate and test")
    return schemes, lines


def _lines_of_absent(corpus: ActedCorpus, task: Task, items: pd.DataFrame) -> list[str]:
    """A line for speakers, emotions and splits of which nothing is there."""
    found = Counter(task.classes[label] for label in items[task.column])
    absent = {
        "speaker": [speaker for speaker in corpus.sexes if speaker not in set(items["speaker"])],
        "emotion": [name for name in task.classes if not found[name]],
        "split": [split for split in _SPLITS if split not in set(items["split"])],
    }
    lines = []
    for kind, names in absent.items():
        if not names:
            continue
        remedy = "; msmt split --by speaker makes others" if kind == "split" else ""
        named = ", ".join(names) if len(names) <= _MOST_NAMED else f"{_listed(names)} of {len(corpus.sexes)}"
        lines.append(f"no file of {kind} {named} is there{remedy}")
    if len(found) == 1:
        lines.append(f"all files are of emotion {next(iter(found))}: with one class only nothing can be learnt")
    return lines


def _lines_of_pointers(root: Path, paths: Iterable[str]) -> list[str]:
    """A line on files whose content was left in the repository. Raises CorpusError where all were."""
    paths = list(paths)
    pointers = [path for path in paths if _is_pointer(root / path)]
    if not pointers:
        return []
    if len(pointers) == len(paths):
        raise CorpusError(
            f"{root}: its {len(paths):,} audio files are pointers of git-lfs, such as {pointers[0]}; fetch what they"
            " stand for with git lfs pull"
        )
    return [
        f"{len(pointers):,} of {len(paths):,} audio files are pointers of git-lfs, such as {pointers[0]}: git lfs pull"
        " fetches what they stand for"
    ]


def _is_pointer(path: Path) -> bool:
    try:
        if path.stat().st_size > _LARGEST_POINTER:
            return False
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def _arrangement(corpus: ActedCorpus, items: pd.DataFrame) -> str:
    """``found 60 of 1,440 files, by 1 of 24 speakers, in Actor_*``"""
    folders = dict.fromkeys(re.sub(r"\d+$", "*", str(PurePosixPath(path).parent)) for path in items["audio"])
    where = _listed(["the folder itself" if folder == "." else folder for folder in folders])
    expected = sum(sum(each.values()) for each in corpus.expected.values())
    speakers = items["speaker"].nunique()
    return f"found {len(items):,} of {expected:,} files, by {speakers} of {len(corpus.sexes)} speakers, in {where}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _nothing(corpus: ActedCorpus, listing: Listing, left_out: Sequence[Aside]) -> str:
    reasons = Counter(aside.reason for aside in left_out)
    besides = "".join(f"; {count:,} files are left out, for {reason}" for reason, count in reasons.items())
    return (
        f"{listing.root}: holds no file of {corpus.name} called like {corpus.example}{besides}; unpack {corpus.source}"
        " there, or name its folder with --data"
    )


def _counts(corpus: ActedCorpus) -> tuple[Count, ...]:
    by_split: dict[str, Counter[str]] = {split: Counter() for split in _SPLITS}
    speakers: Counter[str] = Counter()
    for speaker, split in standard_splits(corpus.sexes, corpus.parts).items():
        by_split[split].update(corpus.expected[speaker])
        speakers[split] += 1
    counts = [Count({"split": split}, each.total()) for split, each in by_split.items()]
    counts += [Count({"split": split}, speakers[split], "speaker") for split in _SPLITS]
    counts += [
        Count({"split": split, TASK: name}, by_split[split][name]) for split in _SPLITS for name in corpus.classes
    ]
    counts += [Count({"speaker": speaker}, sum(each.values())) for speaker, each in corpus.expected.items()]
    return tuple(counts)
