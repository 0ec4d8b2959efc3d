"""An ablation that leaves one speaker of a dialogue out: what is trained for it, and that nothing is tested twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from msmt.evaluate.folds import fold_of_items
from msmt.extract.corpora.held_out import leave_one_out
from msmt.features.opening import open_store
from msmt.features.tasks import Task
from msmt.studies import ablations
from msmt.studies.ablations import ablate
from msmt.tests.features import made as on_disk
from msmt.tests.studies.made import folded_store, splits_of_fold

MOOD = Task("mood", ("low", "high"), "segment")
NUMBERS = np.arange(on_disk.ROWS)
SESSIONS = NUMBERS // 3 * 3 // 24 + 1  # eight dialogues of three segments each, and the rest in the last
SPEAKERS = [f"{session}{'FM'[number % 2]}" for number, session in zip(NUMBERS, SESSIONS, strict=True)]
OTHER = {who: who[0] + {"F": "M", "M": "F"}[who[1]] for who in sorted(set(SPEAKERS))}


@pytest.fixture
def ablated(tmp_path, monkeypatch):
    """The ablation, and what it compared."""
    store = folded_store(
        tmp_path / "talks.zarr",
        {who: splits_of_fold(0) for who in OTHER},
        {"speakers": list(OTHER)},
        (MOOD,),
        speaker=SPEAKERS,
        label_mood=NUMBERS // 2 % 2,
        **{f"scheme_{who}": splits for who, splits in leave_one_out(SPEAKERS, OTHER).items()},
    )
    compared, compare = [], ablations.comparison.compare
    monkeypatch.setattr(
        ablations.comparison, "compare", lambda scored, **more: compared.append(scored) or compare(scored, **more)
    )
    plan = "scheme: speakers\nvariants: {linear: {model: linear, epochs: 1, slot: 'audio=hubert,text=roberta'}}"
    (tmp_path / "plan.yaml").write_text(plan)
    made = ablate(
        tmp_path / "plan.yaml",
        "",
        {},
        "",
        store,
        tmp_path / "out",
        "test",
        0,
        say=lambda line: None,
        resample="speaker",
    )
    return open_store(store), made, compared[0]


def test_every_segment_is_tested_once_by_what_learnt_from_no_dialogue_of_its_session(ablated):
    store, made, (pooled,) = ablated
    assert sorted(pooled.items) == sorted(store.segments["segment_id"]) and len(pooled.parts) == 6
    whose = dict(zip(store.segments["segment_id"], SPEAKERS, strict=True))
    assert [list(OTHER)[fold] for fold in fold_of_items(pooled)] == [whose[item] for item in pooled.items]
    assert "each segment tested once (70 segments of 24 recordings of 3 speakers)" in made.table()
    session_of = dict(zip(store.segments["recording_id"], SESSIONS, strict=True))
    for outcome in made.outcomes:
        fold = outcome.run.settings.train.scheme
        of_split = {}
        for split in ("train", "val", "test"):
            rows = store.segments[f"scheme_{fold}"] == split
            of_split[split] = set(store.segments["recording_id"][rows].map(session_of))
        assert of_split == {"train": {1, 2, 3} - {int(fold[0])}, "val": {int(fold[0])}, "test": {int(fold[0])}}
        counts = pd.Series(SPEAKERS).value_counts()
        learnt = len(outcome.run.learnt.segments)
        assert learnt == on_disk.ROWS - counts[fold] - counts[OTHER[fold]]
        assert len(outcome.run.judged.segments) == counts[OTHER[fold]]
        assert not set(outcome.run.learnt.segments) & set(outcome.run.judged.segments)
