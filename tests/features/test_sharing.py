"""Speakers, recordings and audio that are in two splits are found, and named."""

from __future__ import annotations

import pandas as pd
from msmt.features.segments import VIDEO, segment_table
from msmt.features.sharing import fact_of, recorded_in, remarks_on, shared_between_splits, shared_in, sharing_lines
from msmt.tests.train.made import calls

TABLE = segment_table(
    pd.DataFrame(
        {
            "segment_id": list("abcdef"),
            "recording_id": ["r1", "r1", "r2", "r3", "r4", "r5"],
            "index": [1, 2, 1, 1, 1, 1],
            "split": ["train", "train", "val", "val", "test", "removed"],
            "audio": [f"{name}.wav" for name in "abcdef"],
            "speaker": ["amy", "", "bob", "", "cat", "amy"],
        }
    ),
    [],
)


def test_splits_that_are_apart_share_nothing():
    assert shared_between_splits(TABLE) == []
    assert sharing_lines([], TABLE) == ["no speaker, no recording and no audio is in two splits"]
    unknown = TABLE.assign(speaker="")
    assert sharing_lines([], unknown) == ["no recording and no audio is in two splits; who speaks is not known"]
    assert sharing_lines([], TABLE[:2]) == []


def test_what_each_pair_of_splits_shares_is_counted_and_named():
    table = TABLE.assign(
        speaker=["amy", "bob", "bob", "amy", "amy", ""], recording_id=["r1", "r1", "r1", "r3", "r4", "r5"]
    )
    sounds = ["x", "y", "z", "x", "w", "x"]
    assert [each.line for each in shared_between_splits(table, sounds)] == [
        "train and val share 2 speakers: amy, bob",
        "train and test share 1 speaker: amy",
        "val and test share 1 speaker: amy",
        "train and val share 1 recording: r1",
        "train and val share the audio of 1 segment: a = d",
    ]


def test_views_are_no_segments_of_their_own():
    views = pd.concat([TABLE, TABLE.assign(view="noise", split="val")], ignore_index=True)
    assert shared_between_splits(views) == []


def test_a_store_is_judged_by_what_its_rows_were_made_from():
    store = calls()
    assert shared_in(store) == []
    states = store.states("hubert")
    states.identity[0] = states.identity[-1]
    store.states = lambda name: states
    [shared] = shared_in(store)
    assert (shared.what, shared.splits) == ("audio", ("train", "test")) and shared.names == ("s0 = s47",)


def test_figures_of_a_split_that_shares_audio_are_remarked_on_from_what_the_store_was_told():
    shared = shared_between_splits(TABLE, ["x", "y", "z", "x", "w", ""])
    facts = fact_of(shared)
    assert facts == {"shared_audio": [{"splits": ["train", "val"], "count": 1, "examples": ["a = d"]}]}
    [remark] = remarks_on("val", facts, [])
    assert remark.startswith("train and val share the audio of 1 segment: a = d. What was learnt by heart")
    assert remarks_on("test", facts, shared) == [] and remarks_on("val", facts, shared) == [remark]
    speaking = shared_between_splits(TABLE.assign(speaker="amy"))
    assert remarks_on("test", {}, speaking) == [
        "train and test share 1 speaker: amy.",
        "val and test share 1 speaker: amy.",
    ]


def test_facts_of_another_form_are_passed_over():
    for fact in (
        "yes",
        3,
        None,
        {"splits": []},
        [1],
        [{}],
        [{"splits": ["a"], "count": 1, "examples": []}],
        [{"splits": "ab", "count": "x", "examples": 2}],
    ):
        assert recorded_in({"shared_audio": fact}) == []


def test_a_video_of_which_each_split_has_a_part_is_shared_though_no_recording_is():
    table = TABLE.assign(speaker="", **{VIDEO: ["v1", "v1", "v1", "v2", "v3", "v3"]})
    assert [each.line for each in shared_between_splits(table)] == ["train and val share 1 video: v1"]
    assert remarks_on("val", {}, shared_between_splits(table)) == ["train and val share 1 video: v1."]
