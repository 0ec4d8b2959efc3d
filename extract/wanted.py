"""The rows that a store should hold: the segments of a corpus, and behind each the views made of it.

Views are of the training split alone. Those that a store holds stay, and are kept up with their originals, until
their segments leave that split; those asked for come in addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import SettingError, StoreError
from ..features.opening import open_store
from ..features.segments import AGENT_CHANNEL, ORIGINAL, REMOVED, UNKNOWN_CHANNEL, segment_table
from ..features.splits import TRAIN, kind_of_split, split_named
from ..features.store import FeatureStore
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .sound import audio
from .sound.views import AUDIO_VIEWS, TEXT_VIEWS, ViewOptions, alter_text, check_text, generator_for, kind_of, recipe_of

_CHOSEN = ("kind", "seed", "decibels", "factors", "share", "pieces", "rate", "tones")  # by the user, in a recipe


@dataclass(frozen=True)
class Wanted:
    """What a store is to hold of a corpus."""

    table: pd.DataFrame
    """The segment table, a segment's views right behind it."""

    recipes: Mapping[str, Mapping]
    """How each view is made, by its name."""

    split: str
    """The split that the views are of."""

    def recipes_of(self, modality: str) -> dict[str, Mapping]:
        """The recipes of the views that alter what features of ``audio`` or ``text`` are made from."""
        kinds_of_audio = {view: kind_of(view) in AUDIO_VIEWS for view in self.recipes}
        return {view: self.recipes[view] for view in self.recipes if kinds_of_audio[view] == (modality == "audio")}


def wanted_rows(corpus: Corpus, path: Path, config: ExtractConfig, views: ViewOptions) -> Wanted:
    """What the store at ``path``, which need not exist, is to hold.

    Raises SettingError for what makes no sense of this corpus, SpecMismatchError when the store holds
    a view of another recipe, unless it is to be overwritten. Reads headers of audio files, decodes none.
    """
    store = open_store(path) if path.exists() else None
    check_channel(corpus, config)
    _check_views(views, config)
    recipes = {view: recipe_of(view, views) for view in views.views}
    there = store.recipes if store else {}
    _check_recipes(store, there, recipes, config.overwrite)
    split = _training_split(corpus, store, config, bool(recipes))
    places = _places(corpus, store, views, split, config.overwrite)
    table = _with_agent(corpus, store, config)
    parts = [table.assign(place=range(len(table)), order=0)]
    every = {**there, **recipes}
    for order, view in enumerate(sorted(every, key=_rank), start=1):
        copies = table.iloc[places.get(view, [])].assign(view=view)
        parts.append(_altered(copies, view, every[view]).assign(place=places.get(view, []), order=order))
    rows = pd.concat(parts).sort_values(["place", "order"], kind="stable").drop(columns=["place", "order"])
    return Wanted(segment_table(rows.reset_index(drop=True), corpus.tasks), every, split)


def rows_per_class(table: pd.DataFrame, corpus: Corpus, split: str) -> tuple[dict[str, int], dict[str, int]]:
    """Rows of the training split by class of the finest task: of the originals, and of all views together."""
    ours = table[table["split"] == split]

    if not corpus.tasks:
        return {"all": int((ours["view"] == ORIGINAL).sum())}, {"all": len(ours)}
    task = corpus.tasks[0]

    def counted(rows: pd.DataFrame) -> dict[str, int]:
        if task.is_value:
            return {task.name: len(rows)}
        counts = {name: int((rows[task.column] == index).sum()) for index, name in enumerate(task.classes)}
        return {name: count for name, count in counts.items() if (ours[task.column] == task.classes.index(name)).any()}

    return counted(ours[ours["view"] == ORIGINAL]), counted(ours)


def check_channel(corpus: Corpus, config: ExtractConfig) -> None:
    """Every file must have the channel that is asked of it. SettingError names the first that has not."""
    asked = config.one_channel
    table = corpus.table
    if not config.makes_audio:
        return
    if asked is not None and (table["channel"] >= 0).any():
        origin = corpus.origins[table["segment_id"][(table["channel"] >= 0).idxmax()]]
        raise SettingError(f"{origin}: names a channel of its own, so --channel {config.channel} cannot be set")
    wanted = table["channel"] if asked is None else pd.Series(asked, table.index)
    counts: dict[str, int | None] = {}
    for row in np.flatnonzero(wanted >= 0):
        path, channel = table["audio"].iloc[row], int(wanted.iloc[row])
        if path not in counts:
            counts[path] = audio.channels_of(corpus.root / path)
        if counts[path] is not None and channel >= counts[path]:
            origin = corpus.origins[table["segment_id"].iloc[row]]
            plural = "s" if counts[path] != 1 else ""
            raise SettingError(
                f"{origin}: {corpus.root / path} has {counts[path]} channel{plural}, so no channel {channel};"
                " channels are counted from 0"
            )


def _check_views(views: ViewOptions, config: ExtractConfig) -> None:
    """Copies that alter nothing of what is made would be rows for nothing."""
    for view in views.views:
        alters, is_made = ("sound", config.makes_audio) if kind_of(view) in AUDIO_VIEWS else ("text", config.makes_text)
        if not is_made:
            raise SettingError(
                f"augment: {view} alters the {alters}, of which --modalities {config.modalities} makes no feature"
            )


def _check_recipes(
    store: FeatureStore | None, there: Mapping[str, Mapping], asked: Mapping[str, Mapping], overwrite: bool
) -> None:
    if store and not overwrite:
        changed = {name: spec.differences_of_views(asked) for name, spec in store.specs.items()}
        changed = {name: phrases for name, phrases in changed.items() if phrases}
        if changed:
            raise store.mismatch(changed)
    for view, recipe in there.items():
        if view not in asked:  # its rows are made anew all the same when their originals change
            check_installed(store.path, view, recipe)


def check_installed(store: Path, view: str, recipe: Mapping) -> None:
    """Raise StoreError when what is installed here makes other values of a view than what a store's view was made by."""
    now = recipe_of(view, ViewOptions())
    known = {name: value for name, value in recipe.items() if name not in _CHOSEN}
    if known != {name: value for name, value in now.items() if name not in _CHOSEN}:
        raise StoreError(
            f"{store}: its view {view} was made by {_shown(known)}, which is not what is installed here;"
            f" make it anew with --augment {kind_of(view)} --overwrite"
        )


def _rank(view: str) -> tuple[int, int]:
    """Views in an order of their own, so that their rows are in one order however often an extraction was cut short."""
    kind = kind_of(view)
    return (*AUDIO_VIEWS, *TEXT_VIEWS).index(kind), int(view.removeprefix(kind).lstrip("-") or 1)


def _shown(parts: Mapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def _training_split(corpus: Corpus, store: FeatureStore | None, config: ExtractConfig, is_asked: bool) -> str:
    """The split that views are of: what the store's views are of, or the one called so."""
    splits = list(dict.fromkeys(corpus.table["split"]))
    known = set()
    if store:
        table = store.segments
        known = set(table["split"][(table["view"] != ORIGINAL) & (table["split"] != REMOVED)])
    split = config.train_split
    if not is_asked:
        return known.pop() if known else split
    split = split_named(split, splits)
    if split not in splits:
        raise SettingError(
            f"there is no split {split} to augment: the corpus has {', '.join(splits)}; see --train-split"
        )
    is_other = kind_of_split(split) not in ("", TRAIN)
    if is_other or split != TRAIN and TRAIN in splits or known - {split}:
        raise SettingError(f"only the training split can be augmented, so --train-split must not be {split}")
    return split


def _places(
    corpus: Corpus, store: FeatureStore | None, views: ViewOptions, split: str, overwrite: bool
) -> dict[str, list[int]]:
    """For each view the rows of the corpus's table that it is made of: those it is made of already, and those asked for."""
    table = corpus.table
    is_training = (table["split"] == split).to_numpy()
    asked = np.flatnonzero(is_training & _of_classes(corpus, views, is_training))
    if any(kind_of(view) not in AUDIO_VIEWS for view in views.views):
        check_text(table["text"].iloc[asked])
    places = {view: set(asked.tolist()) for view in views.views}
    if store:
        present = store.segments[store.segments["split"] != REMOVED]
        for view, rows in present[present["view"] != ORIGINAL].groupby("view", sort=False):
            if view not in places or not overwrite:
                known = np.flatnonzero(is_training & table["segment_id"].isin(rows["segment_id"]).to_numpy())
                places.setdefault(view, set()).update(known.tolist())
    return {view: sorted(rows) for view, rows in places.items()}


def _of_classes(corpus: Corpus, views: ViewOptions, is_training: np.ndarray) -> np.ndarray:
    """(N,) whether each segment is of the classes that copies are limited to."""
    if not views.classes:
        return np.ones(len(corpus.table), bool)
    if not corpus.tasks:
        raise SettingError("augment classes: the corpus has no labels")
    task = corpus.tasks[0]
    if task.is_value:
        raise SettingError(f"augment classes: task {task.name} has values and no classes")
    unknown = [name for name in views.classes if name not in task.classes]
    if unknown:
        raise SettingError(f"augment classes: task {task.name} has {', '.join(task.classes)}, but not {unknown[0]!r}")
    chosen = corpus.table[task.column].isin([task.classes.index(name) for name in views.classes]).to_numpy()
    if views.views and not (chosen & is_training).any():
        raise SettingError(f"augment classes: the training split has no segment of {', '.join(views.classes)}")
    return chosen


def _altered(copies: pd.DataFrame, view: str, recipe: Mapping) -> pd.DataFrame:
    """The rows of a view, with the transcripts that its encoder sees."""
    if kind_of(view) in AUDIO_VIEWS:
        return copies
    texts = [
        alter_text(text, recipe, generator_for(recipe, segment_id, view))
        for segment_id, text in zip(copies["segment_id"], copies["text"], strict=True)
    ]
    return copies.assign(text=np.array(texts, dtype=object))


def _with_agent(corpus: Corpus, store: FeatureStore | None, config: ExtractConfig) -> pd.DataFrame:
    """The corpus's table, with the agent's channel where that is known: as told now, or as the store was told before."""
    table = corpus.table
    if config.agent_channel >= 0 and config.makes_audio:
        counts = {path: audio.channels_of(corpus.root / path) for path in dict.fromkeys(table["audio"])}
        has_it = table["audio"].map(lambda path: counts[path] is None or counts[path] > max(1, config.agent_channel))
        if not has_it.any():
            raise SettingError(
                f"{corpus.root / table['audio'].iloc[0]}: has one channel, as have all files,"
                f" so the agent cannot be on channel {config.agent_channel}"
            )
        return table.assign(**{AGENT_CHANNEL: np.where(has_it, config.agent_channel, UNKNOWN_CHANNEL)})
    if store and AGENT_CHANNEL in store.segments:
        known = store.segments[store.segments["view"] == ORIGINAL].set_index("segment_id")[AGENT_CHANNEL]
        return table.assign(**{AGENT_CHANNEL: table["segment_id"].map(known).fillna(UNKNOWN_CHANNEL).astype(int)})
    return table
