"""Schemes: several ways of splitting in one segment table."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from msmt.errors import SettingError, StoreError
from msmt.features.compacting import compact
from msmt.features.copying import convert, verify
from msmt.features.fold_table import describe_folds, fold_lines, shared_in_scheme
from msmt.features.folds import FoldConfig, add_folds, make_folds
from msmt.features.head import StoreHead
from msmt.features.info import describe, table_of
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import MISSING
from msmt.features.schemes import families_in, folds_of, schemes_in, splits_of
from msmt.features.segments import REMOVED, segment_table
from msmt.features.tasks import Task
from msmt.tests.features.made import ROWS, SPECS, TASKS, contents, fill, lengths_of, make_store, table

FOLDS = {"schemes": {"folds": {"schemes": ["fold1", "fold2"], "by": "recording", "seed": 0}}}


def head(facts) -> StoreHead:
    return StoreHead("marketcalls", TASKS, "now", "1", {}, facts)


def test_the_corpus_s_own_split_is_the_scheme_standard():
    assert splits_of(table()).equals(table()["split"]) and splits_of(table(), "standard").equals(table()["split"])


def test_another_scheme_is_a_column_and_removed_rows_are_removed_in_every_scheme():
    rows = table(4, scheme_fold1=["train", "", "test", "val"], split=["train", "train", "test", REMOVED])
    assert schemes_in(rows) == ("standard", "fold1")
    assert splits_of(rows, "fold1").tolist() == ["train", "", "test", REMOVED]
    assert segment_table(rows, TASKS).equals(rows)


def test_an_unknown_scheme_is_refused_with_those_that_there_are():
    with pytest.raises(StoreError, match="no scheme 'fold2', only standard, fold1; msmt split makes others"):
        splits_of(table(4, scheme_fold1=[""] * 4), "fold2")


def test_folds_are_named_by_the_head():
    assert folds_of(head(FOLDS), "folds") == ("fold1", "fold2")
    with pytest.raises(StoreError, match="no folds 'parts', only folds; msmt split makes some"):
        folds_of(head(FOLDS), "parts")
    for facts in ({}, {"schemes": 3}, {"schemes": {"folds": {"schemes": "fold1"}}}):
        with pytest.raises(StoreError, match="no folds 'folds', nor any other"):
            folds_of(head(facts), "folds")


def groups_of(rows, column="recording_id") -> dict[str, list[str]]:
    """In which splits of ``fold1`` to ``fold5`` each group is, one of each fold."""
    folds = [rows[f"scheme_fold{number}"] for number in range(1, 6)]
    return {
        name: ["+".join(sorted(set(fold[members]))) for fold in folds]
        for name, members in rows.groupby(column).groups.items()
    }


def folded(rows, **settings):
    made = make_folds(rows, TASKS, FoldConfig(**settings))
    return rows.assign(**{f"scheme_{name}": splits for name, splits in made.items()})


def corpus(recordings: int = 60, segments: int = 2, **changes):
    """Recordings of five classes, by twenty speakers."""
    count = recordings * segments
    recording = [row // segments for row in range(count)]
    return table(
        count,
        **{
            "recording_id": [f"r{number:02}" for number in recording],
            "speaker": [f"p{number % 20}" for number in recording],
            "label_five": [number % 7 % 5 for number in recording],
            "label_two": [int(number % 7 % 5 > 2) for number in recording],
            **changes,
        },
    )


def test_each_recording_is_tested_in_one_fold_and_validates_in_the_one_before():
    for splits in groups_of(folded(corpus(), stratify="five")).values():
        tested = splits.index("test")
        assert splits.count("test") == 1 and splits.count("train") == 3 and splits[tested - 1] == "val"


def test_speakers_are_never_parted_and_recordings_that_share_one_stay_together():
    for splits in groups_of(folded(corpus(), by="speaker", stratify="five"), "speaker").values():
        assert sorted(splits) == ["test", "train", "train", "train", "val"]
    dialogue = corpus(speaker=["amy" if row % 2 else f"p{row // 8}" for row in range(120)])  # amy speaks in all of them
    with pytest.raises(SettingError, match="by speaker there are 1, as recordings are never parted"):
        folded(dialogue, by="speaker")


def test_who_is_unknown_is_nobody_s_twin_and_folds_can_be_by_a_column_of_the_corpus():
    unknown = corpus(
        label_five=[0] * 120, label_two=[0] * 120, speaker=["" if row < 60 else "bob" for row in range(120)]
    )
    groups = groups_of(folded(unknown, by="speaker", folds=5))
    assert len({tuple(splits) for name, splits in groups.items() if name >= "r30"}) == 1
    assert len({tuple(splits) for name, splits in groups.items() if name < "r30"}) > 3
    rows = folded(corpus(extra_session=[f"s{row // 24}" for row in range(120)]), by="session", stratify="five")
    assert all(
        sorted(splits) == ["test", "train", "train", "train", "val"]
        for splits in groups_of(rows, "extra_session").values()
    )


def test_classes_and_sizes_are_shared_out_however_rare():
    random = np.random.default_rng(0)
    sizes = random.integers(1, 9, 200)
    five = random.choice(5, 200, p=[0.5, 0.3, 0.1, 0.06, 0.04])
    rows = table(
        int(sizes.sum()),
        recording_id=np.repeat([f"r{number:03}" for number in range(200)], sizes),
        label_five=np.repeat(five, sizes),
        label_two=np.repeat(five > 2, sizes).astype(int),
    )
    rows = folded(rows, stratify="five")
    tested = [rows[rows[f"scheme_fold{number}"] == "test"] for number in range(1, 6)]
    for label in range(5):
        counts = [part[part["label_five"] == label]["recording_id"].nunique() for part in tested]
        assert max(counts) - min(counts) <= 1, (label, counts)
    assert max(map(len, tested)) <= 1.1 * min(map(len, tested))


def test_the_same_seed_makes_the_same_folds_whatever_the_order_of_the_rows_and_another_seed_others():
    rows, settings = corpus(), {"by": "speaker", "stratify": "five"}
    shuffled = rows.sample(frac=1, random_state=3)
    assert groups_of(folded(rows, **settings)) == groups_of(folded(shuffled, **settings))
    assert groups_of(folded(rows, **settings)) != groups_of(folded(rows, **settings, seed=1))


def test_a_share_of_what_is_left_validates_and_parts_no_group():
    rows = folded(corpus(), by="speaker", folds=2, validation="0.2", stratify="five")
    for number in (1, 2):
        splits = rows.groupby("speaker")[f"scheme_fold{number}"].unique()
        assert all(len(each) == 1 for each in splits)
        counts = rows[f"scheme_fold{number}"].value_counts()
        assert counts["test"] == 60 and 8 <= counts["val"] <= 16 and counts["train"] == 60 - counts["val"]


def test_views_are_where_their_originals_are_and_removed_rows_nowhere():
    rows = table(
        10,
        segment_id=["a", "b", "c", "d", "e", "a", "c", "x", "x", "e"],
        recording_id=["a", "b", "c", "d", "e", "a", "c", "x", "x", "e"],
        split=["train"] * 7 + [REMOVED] * 2 + ["train"],
        view=["original"] * 5 + ["noise"] * 2 + ["original", "noise", "noise"],
        label_five=[0] * 10,
        label_two=[0] * 10,
    )
    splits = make_folds(rows, TASKS, FoldConfig(folds=3))["fold1"].tolist()
    assert splits[5:7] == [splits[0], splits[2]] and splits[7:] == ["", "", splits[4]] and "" not in splits[:5]


def test_values_are_stratified_by_their_size():
    task = Task("strength")
    rows = segment_table(corpus().assign(label_strength=[row // 2 / 60 for row in range(120)]), [task])
    made = make_folds(rows, [task], FoldConfig(stratify="strength"))
    means = [rows["label_strength"][splits == "test"].mean() for splits in made.values()]
    assert max(means) - min(means) < 0.15


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"folds": 1}, "folds must be 2 to 1000, but are 1"),
        ({"folds": 61}, "61 folds need as many groups, but by recording there are 60: choose fewer --folds"),
        ({"by": "town"}, "no column 'town', only recording, speaker; extract --keep-columns keeps others"),
        ({"stratify": "mood"}, "no task 'mood' to stratify by, only five, two"),
        ({"family": "a b"}, "'a b' cannot be the name of folds"),
        ({"family": "../folds"}, "cannot be the name of folds"),
        ({"folds": 2}, "the next of 2 folds is all that is left to train on: choose --validation 0.1"),
        ({"validation": "half"}, "validation must be next or a share up to 0.5, but is 'half'"),
        ({"validation": "nan"}, "validation must be next or a share"),
        ({"seed": -1}, "seed must be 0 or more"),
        (
            {"folds": 20, "stratify": "five"},
            "test of fold.* no segment of class . of five, which \\d+ groups have: choose",
        ),
    ],
)
def test_what_makes_no_folds_is_one_line(settings, reason):
    with pytest.raises(SettingError, match=reason) as error:
        folded(corpus(), **settings)
    assert "\n" not in str(error.value)


def test_a_class_that_the_corpus_has_not_may_be_absent_from_folds():
    rows = corpus(
        label_five=[row // 2 % 4 for row in range(120)], label_two=[int(row // 2 % 4 > 2) for row in range(120)]
    )
    assert len(make_folds(rows, TASKS, FoldConfig(stratify="five"))) == 5


@pytest.fixture(params=[".zarr", ".h5"])
def store(request, tmp_path):
    path = tmp_path / f"calls{request.param}"
    speaker = [f"p{row // 3 % 9}" for row in range(ROWS)]
    make_store(path, without=(5,), speaker=speaker, label_five=[row // 3 % 4 for row in range(ROWS)])
    return open_store(path)


def shards_and_rows(store) -> tuple[dict, dict]:
    shards = {
        file: file.read_bytes() for name in SPECS for file in store.path.glob(f"{name}/**/c/**/*") if file.is_file()
    }
    rows = {
        (name, row): store.read(name, row).tobytes()
        for name in SPECS
        for row in np.flatnonzero(store.lengths(name) != MISSING)
    }
    return shards, rows


class TestOfAStore:
    def test_folds_are_added_without_touching_a_feature(self, store):
        before, states = shards_and_rows(store), {name: store.states(name) for name in SPECS}
        table_before = store.segments
        after = add_folds(store.path, FoldConfig(folds=3, stratify="five", seed=7))
        assert shards_and_rows(after) == before and verify(after) == [] and after.is_finished
        for name in SPECS:
            assert after.states(name).checksum.tolist() == states[name].checksum.tolist()
            assert after.states(name).length.tolist() == states[name].length.tolist()
        assert after.segments[table_before.columns].equals(table_before)
        assert folds_of(after.head, "folds") == ("fold1", "fold2", "fold3")
        assert after.head.facts["schemes"]["folds"] == {
            "schemes": ["fold1", "fold2", "fold3"],
            "by": "recording",
            "stratify": "five",
            "seed": 7,
            "validation": "next",
        }
        assert set(splits_of(after.segments, "fold3")) == {"train", "val", "test"}

    def test_plain_libraries_read_schemes_and_copies_have_them(self, store, tmp_path):
        made = add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        copy = convert(made, tmp_path / f"copy{'.h5' if store.path.suffix == '.zarr' else '.zarr'}")
        for each in (made, copy):
            tree = zarr.open_group(str(each.path), mode="r") if each.path.is_dir() else h5py.File(each.path)
            column = tree["segments/scheme_fold2"]
            column = column.asstr()[:] if each.path.is_file() else column[:]
            assert column.tolist() == made.segments["scheme_fold2"].tolist()
        assert copy.fingerprint() == made.fingerprint() and copy.head.facts == made.head.facts

    def test_an_extraction_keeps_schemes_of_the_segments_it_knows(self, store):
        made = add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        news = table(80).iloc[10:].reset_index(drop=True)
        news = pd.concat([news, news.iloc[[0]].assign(view="noise")], ignore_index=True)
        lengths = {name: np.ones(len(news), int) for name in SPECS}
        with writer_for(store.path) as writer:
            assert writer.would_change("marketcalls", TASKS, news, SPECS, {})
            writer.prepare("marketcalls", TASKS, news, SPECS, lengths, facts={"told": "so"})
            writer.finish()
            assert not writer.would_change("marketcalls", TASKS, news, SPECS, {"told": "so"})
        after = open_store(store.path)
        before = made.segments["scheme_fold1"]
        assert after.segments["scheme_fold1"][:70].tolist() == before.tolist()
        assert after.segments["scheme_fold1"][70:].tolist() == [""] * 10 + [before[10]]
        assert after.head.facts == {"schemes": made.head.facts["schemes"], "told": "so"}
        assert set(splits_of(after.segments, "fold1")[:10]) == {REMOVED}
        with writer_for(store.path) as writer:  # the corpus brings all of them back
            writer.prepare("marketcalls", TASKS, table(80), SPECS, lengths)
            writer.finish()
        assert splits_of(open_store(store.path).segments, "fold1")[:70].tolist() == before.tolist()

    def test_families_that_a_corpus_brings_stand_beside_those_that_were_added(self, store):
        made = add_folds(store.path, FoldConfig(family="parts", folds=3, stratify="five"))
        brought = {"speakers": {"schemes": ["speaker1", "speaker2"], "by": "speaker", "validation": "next"}}
        rows = table(80, scheme_speaker1=["test", "train"] * 40, scheme_speaker2=["train", "test"] * 40)
        facts = {"schemes": brought}
        with writer_for(store.path) as writer:
            writer.prepare("marketcalls", TASKS, rows, SPECS, {}, facts=facts)
            writer.finish()
            assert not writer.would_change("marketcalls", TASKS, rows, SPECS, facts)
        after = open_store(store.path)
        assert after.head.facts["schemes"] == {**made.head.facts["schemes"], **brought}
        assert splits_of(after.segments, "part1")[:70].equals(splits_of(made.segments, "part1")[:70])

    def test_folds_by_a_rule_are_described_without_a_seed(self, store):
        rows = table(80, scheme_a=["test", "train"] * 40, scheme_b=["train", "test"] * 40)
        rule = {"schemes": ["a", "b"], "by": "speaker", "stratify": "", "seed": None, "validation": "next"}
        with writer_for(store.path) as writer:
            writer.prepare("marketcalls", TASKS, rows, SPECS, {}, facts={"schemes": {"halves": rule}})
            writer.finish()
        after = open_store(store.path)
        lines = fold_lines(describe_folds(after), after.tasks)
        assert "halves: by speaker, validation by the next fold" in lines

    def test_families_that_a_corpus_brings_stand_beside_those_that_were_made_and_replace_their_own(self, store):
        def extracted(rows, families):
            lengths = {name: np.ones(len(rows), int) for name in SPECS}
            facts = {"schemes": {family: {"schemes": names} for family, names in families.items()}}
            with writer_for(store.path) as writer:
                writer.prepare("marketcalls", TASKS, rows, SPECS, lengths, facts=facts)
                writer.finish()
                assert not writer.would_change("marketcalls", TASKS, rows, SPECS, facts)
            return open_store(store.path)

        made = add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        add_folds(store.path, FoldConfig(family="halves", folds=3, stratify="five"))
        rows = table().assign(scheme_day1="test", scheme_day2="train", scheme_half1="val")
        after = extracted(rows, {"days": ["day1", "day2"], "halves": ["half1"]})
        assert families_in(after.head) == {
            "folds": ("fold1", "fold2", "fold3"),
            "days": ("day1", "day2"),
            "halves": ("half1",),
        }
        assert after.head.facts["schemes"]["folds"] == made.head.facts["schemes"]["folds"]
        assert after.segments["scheme_fold2"].tolist() == made.segments["scheme_fold2"].tolist()
        assert set(after.segments["scheme_half1"]) == {"val"} and set(after.segments["scheme_day1"]) == {"test"}
        again = extracted(rows.assign(scheme_day2="test"), {"days": ["day1", "day2"], "halves": ["half1"]})
        assert set(again.segments["scheme_day2"]) == {"test"} and "folds" in families_in(again.head)
        # A family of another name that has schemes of the same is not theirs any more.
        renamed = extracted(rows, {"dates": ["day1", "day2"]})
        assert set(families_in(renamed.head)) == {"folds", "halves", "dates"}

    def test_a_family_that_a_corpus_brings_is_told_without_a_seed(self, store):
        rows = table().assign(scheme_day1=["test", "train"] * (ROWS // 2), scheme_day2=["train", "test"] * (ROWS // 2))
        days = {"schemes": ["day1", "day2"], "by": "day", "stratify": "", "seed": None, "validation": "the other day"}
        lengths = {name: np.ones(len(rows), int) for name in SPECS}
        with writer_for(store.path) as writer:
            writer.prepare("marketcalls", TASKS, rows, SPECS, lengths, facts={"schemes": {"days": days}})
            writer.finish()
        assert "days: by day, validation by the other day" in table_of(describe(open_store(store.path))).splitlines()

    def test_a_compacted_store_has_its_schemes(self, store):
        made = add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        with writer_for(store.path) as writer:
            writer.prepare("marketcalls", TASKS, table().iloc[9:].reset_index(drop=True), SPECS, {})
            writer.finish()
        compact(store.path)
        after = open_store(store.path)
        assert after.segments["scheme_fold2"].tolist() == made.segments["scheme_fold2"][9:].tolist()
        assert folds_of(after.head, "folds") == ("fold1", "fold2", "fold3")

    def test_folds_of_a_name_that_is_taken_are_replaced_on_demand_alone(self, store):
        add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        with pytest.raises(StoreError, match="has folds 'folds' already; .* another --seed, with --overwrite"):
            add_folds(store.path, FoldConfig(folds=3, stratify="five", seed=1))
        for family in ("fold", "standard"):
            with pytest.raises(StoreError, match="has a scheme .* already that is not one of such folds"):
                add_folds(store.path, FoldConfig(family=family, folds=3, stratify="five"))
        config = FoldConfig(folds=2, stratify="five", seed=1, validation="0.2")
        after = add_folds(store.path, config, overwrite=True)
        assert schemes_in(after.segments) == ("standard", "fold1", "fold2") and verify(after) == []
        both = add_folds(store.path, FoldConfig(family="parts", folds=3, by="speaker", stratify="five"))
        assert schemes_in(both.segments) == ("standard", "fold1", "fold2", "part1", "part2", "part3")

    def test_what_cannot_be_made_leaves_every_byte_as_it_was(self, store):
        def files():
            paths = [store.path, *store.path.rglob("*")]
            return {path: path.read_bytes() for path in paths if path.is_file()}

        before = files()
        with pytest.raises(SettingError, match="60 folds need as many groups"):
            add_folds(store.path, FoldConfig(folds=60))
        assert files() == before

    def test_an_extraction_that_was_cut_off_goes_on_after_folds_were_added(self, store, tmp_path):
        path = tmp_path / f"cut{store.path.suffix}"
        made = contents()
        with writer_for(path) as writer:
            rows = table(label_five=[row // 3 % 4 for row in range(ROWS)])
            writer.prepare("marketcalls", TASKS, rows, SPECS, lengths_of(made))
            writer.commit("hubert", 0, dict(enumerate(made["hubert"][:32])))
        after = add_folds(path, FoldConfig(folds=3, stratify="five"))
        assert not after.is_finished and (after.lengths("hubert")[:32] > 0).all()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, rows, SPECS, lengths_of(made))
            fill(writer, made)
            writer.finish()
        after = open_store(path)
        assert verify(after) == [] and folds_of(after.head, "folds") and "fold1" in schemes_in(after.segments)

    def test_counts_and_what_is_shared_are_described(self, store):
        made = add_folds(store.path, FoldConfig(folds=3, stratify="five"))
        said = describe(made)["folds"]["folds"]["schemes"]
        segments = [said[name]["splits"][split]["segments"] for name in said for split in ("train", "val", "test")]
        assert list(said) == ["fold1", "fold2", "fold3"] and sum(segments) == 3 * ROWS
        splits = splits_of(made.segments, "fold1")
        speakers = made.segments["speaker"]
        both = set(speakers[splits == "train"]) & set(speakers[splits == "test"])
        (shared,) = shared_in_scheme(made.segments, "fold1")
        assert set(shared.names) == both and said["fold1"]["shared"][0]["names"] == list(shared.names)
        lines = table_of(describe(made)).splitlines()
        assert "folds: by recording, stratified by five, seed 0, validation by the next fold" in lines
        assert any(line.startswith("fold1: train and test share") for line in lines)
        tested = made.segments[splits == "test"]
        (line,) = [line for line in lines if line.startswith("fold1  ")]
        assert f"{len(tested)} ({tested['recording_id'].nunique()})" in line
        by_speaker = add_folds(store.path, FoldConfig(family="apart", folds=3, by="speaker", stratify="five"))
        said = fold_lines({"apart": describe_folds(by_speaker)["apart"]}, TASKS)
        assert said[-1] == "no speaker, no recording and no audio is in train and test of any of them"
