"""MMSA's layout both ways: an export holds what the store does, an import what the lengths leave of a file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from msmt.errors import MsmtError
from msmt.features.copying import verify
from msmt.features.exchange.from_mmsa import import_mmsa
from msmt.features.exchange.options import MmsaExportOptions, MmsaImportOptions
from msmt.features.exchange.to_mmsa import export_mmsa
from msmt.features.folds import FoldConfig, add_folds
from msmt.features.opening import open_store
from msmt.features.tasks import Task, merged
from msmt.tests.features.exchange.made import (
    JUNK,
    MOOD,
    SENTIMENT,
    SPECS,
    make_store,
    mmsa_content,
    rows_of,
    write_pickle,
)
from msmt.tests.features.made import spec

KEYS = ("train", "valid", "test")


def loaded(path) -> dict:
    """What Python's own pickle makes of an export."""
    return pickle.loads(path.read_bytes())


def imported(tmp_path, content, name: str = "made.zarr", **options):
    """The store that is made of a file with this content, and the lines that are said of it."""
    path = write_pickle(tmp_path / "features.pkl", content)
    made = import_mmsa(path, tmp_path / name, MmsaImportOptions(**options))
    return open_store(tmp_path / name), "\n".join(made.lines)


def refusal(path, call) -> str:
    """The one line that is said where nothing is written."""
    before = sorted(each.name for each in path.parent.iterdir())
    with pytest.raises(MsmtError) as error:
        call()
    assert "\n" not in str(error.value) and sorted(each.name for each in path.parent.iterdir()) == before
    return str(error.value)


# The way out.


def test_an_export_holds_rows_padding_lengths_labels_and_ids(tmp_path):
    store = make_store(tmp_path / "clips.zarr")
    made = export_mmsa(store, tmp_path / "clips.pkl")
    content, table = loaded(tmp_path / "clips.pkl"), store.segments
    assert list(content) == list(KEYS) and [len(content[key]["id"]) for key in KEYS] == [24, 8, 8]
    at = 0
    for key in KEYS:
        split = content[key]
        assert split["audio"].dtype == np.float32 and split["audio"].shape[1:] == (20, 16)
        assert split["vision"].shape[1:] == (1, 1) and not split["vision"].any() and set(split["vision_lengths"]) == {1}
        for place in range(len(split["id"])):
            for name, feature in (("audio", "hubert"), ("text", "roberta")):
                own = store.read(feature, at)
                assert split[f"{name}_lengths"][place] == len(own)
                assert (split[name][place, : len(own)] == own).all() and not split[name][place, len(own) :].any()
            mask = split["text_bert"][place]
            assert mask[1].sum() == split["text_lengths"][place] and not mask[0].any() and not mask[2].any()
            assert split["id"][place] == f"{table['recording_id'][at]}$_${table['index'][at]}"
            assert split["raw_text"][place] == table["text"][at]
            value = table["label_sentiment"][at]
            assert split["regression_labels"][place] == np.float32(value)
            assert split["annotations"][place] == ("Negative", "Neutral", "Positive")[int(np.sign(value)) + 1]
            assert split["classification_labels"][place] == np.sign(value) + 1
            at += 1
    assert "use_bert" in "\n".join(made.lines)  # that there are no tokens is said


def test_a_pickle_uses_names_that_numpy_1_knows_too(tmp_path):
    export_mmsa(make_store(tmp_path / "clips.zarr"), tmp_path / "clips.pkl")
    content = (tmp_path / "clips.pkl").read_bytes()
    assert b"numpy._core" not in content and content[:2] == b"\x80\x04"


def test_rows_past_the_most_are_cut_and_counted(tmp_path):
    store = make_store(tmp_path / "clips.zarr")
    made = export_mmsa(store, tmp_path / "clips.pkl", MmsaExportOptions(max_rows=("audio=5", "7")))
    split = loaded(tmp_path / "clips.pkl")["train"]
    assert split["audio"].shape[1] == 5 and split["text"].shape[1] == 7 and split["audio_lengths"].max() == 5
    assert (split["audio"][0] == store.read("hubert", 0)[:5]).all()
    count = (store.lengths("hubert") > 5).sum()
    assert f"5 rows of 16 values; {count} segments are cut there" in "\n".join(made.lines)


def test_the_tokens_of_a_tokenizer_are_in_text_bert(tmp_path):
    store = make_store(tmp_path / "clips.zarr")
    export_mmsa(store, tmp_path / "clips.pkl", tokenize=lambda text: [101, *(ord(each) for each in text), 102])
    split = loaded(tmp_path / "clips.pkl")["test"]
    text = split["raw_text"][3]
    assert split["text_bert"][3, 0, : len(text) + 2].tolist() == [101, *map(ord, text), 102]
    assert split["text_bert"][3, 1].sum() == len(text) + 2


def test_classes_have_numbers_and_names(tmp_path):
    export_mmsa(
        make_store(tmp_path / "a.zarr", (SENTIMENT, MOOD)), tmp_path / "a.pkl", MmsaExportOptions(classes="mood")
    )
    split = loaded(tmp_path / "a.pkl")["train"]
    assert split["annotations"][:3].tolist() == ["calm", "upset", "glad"]
    assert split["classification_labels"][:3].tolist() == [0, 1, 2] and split["regression_labels"][0] == -3
    made = export_mmsa(make_store(tmp_path / "b.zarr", (MOOD,)), tmp_path / "b.pkl")
    assert loaded(tmp_path / "b.pkl")["train"]["regression_labels"][:3].tolist() == [0, 1, 2]
    assert "0 = calm, 1 = upset, 2 = glad" in "\n".join(made.lines)


def test_labels_of_single_modalities_go_along(tmp_path):
    tasks = (SENTIMENT, Task("sentiment_T", level="segment"), Task("sentiment_audio", level="segment"))
    store = make_store(tmp_path / "a.zarr", tasks, label_sentiment_T=np.arange(40.0), label_sentiment_audio=np.ones(40))
    export_mmsa(store, tmp_path / "a.pkl")
    split = loaded(tmp_path / "a.pkl")["valid"]
    assert split["regression_labels_T"].tolist() == list(range(24, 32)) and set(split["regression_labels_A"]) == {1}
    assert "regression_labels_V" not in split


def test_coarser_and_following_tasks_are_taken_only_when_named(tmp_path):
    coarse, following = (
        merged(MOOD, "two", "calm+glad", "upset"),
        Task("next_mood", MOOD.classes, "segment", follows="mood"),
    )
    columns = {
        "label_two": [row % 3 == 1 for row in range(40)],
        "label_next_mood": [(row + 1) % 3 for row in range(40)],
    }
    store = make_store(tmp_path / "a.zarr", (coarse, following, MOOD), **columns)
    export_mmsa(store, tmp_path / "a.pkl")
    assert loaded(tmp_path / "a.pkl")["train"]["annotations"][0] == "calm"


def test_a_scheme_decides_the_splits(tmp_path):
    make_store(tmp_path / "clips.zarr")
    store = add_folds(tmp_path / "clips.zarr", FoldConfig(folds=3))
    export_mmsa(store, tmp_path / "clips.pkl", scheme="fold2")
    tested = store.segments["recording_id"][store.segments["scheme_fold2"] == "test"]
    assert {each.split("$_$")[0] for each in loaded(tmp_path / "clips.pkl")["test"]["id"]} == set(tested)


def test_segments_without_a_feature_or_a_label_and_other_views_are_left_out_and_counted(tmp_path):
    values = np.linspace(-3, 3, 40)
    values[5] = np.nan
    views = ["original"] * 38 + ["noise"] * 2
    ids = [f"s{row}" for row in range(38)] + ["s0", "s1"]
    columns = {"label_sentiment": values, "view": views, "segment_id": ids}
    store = make_store(tmp_path / "a.zarr", without={"hubert": (0, 1)}, **columns)
    made = export_mmsa(store, tmp_path / "a.pkl")
    assert len(loaded(tmp_path / "a.pkl")["train"]["id"]) == 21
    said = "\n".join(made.lines)
    assert "left out: 2 segments without hubert (2 of train)" in said
    assert "left out: 1 segments without a label of sentiment (1 of train)" in said
    assert "left out: 2 rows of other views (noise)" in said
    export_mmsa(store, tmp_path / "b.pkl", views=("original", "noise"))
    assert loaded(tmp_path / "b.pkl")["test"]["id"][-1] == "v9~noise$_$3"


SEVERAL = {**SPECS, "wavlm": spec(max_rows=20)}
UNFIT = {
    "a store without labels": ({"tasks": ()}, {}, "has no labels"),
    "no feature of audio": ({"specs": {"roberta": SPECS["roberta"]}}, {}, "has no feature of audio, it holds roberta"),
    "several features of audio": ({"specs": SEVERAL}, {}, "choose --audio from hubert, wavlm"),
    "a feature that is not there": ({}, {"audio": "wavlm"}, "choose --audio from hubert, roberta"),
    "several tasks": (
        {"tasks": (SENTIMENT, Task("arousal", level="segment")), "label_arousal": np.ones(40)},
        {},
        "choose --task from sentiment, arousal",
    ),
    "a task that is not there": ({}, {"task": "mood"}, "choose --task from sentiment"),
    "values as classes": ({}, {"classes": "sentiment"}, "has values and no classes"),
    "no validation": ({"split": ["train"] * 20 + ["test"] * 20}, {}, "no segments for MMSA's split valid"),
    "two validations": (
        {"split": ["train"] * 20 + ["val"] * 8 + ["dev"] * 6 + ["test"] * 6},
        {},
        "val and dev would both",
    ),
    "no feature at all": ({}, {"audio": "none", "text": "none"}, "no feature is left"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_exported_is_one_line_and_no_file(tmp_path, case):
    made, options, said = UNFIT[case]
    store = make_store(tmp_path / "clips.zarr", **made)
    call = lambda: export_mmsa(store, tmp_path / "clips.pkl", MmsaExportOptions(**options))  # noqa: E731
    assert said in refusal(tmp_path / "clips.pkl", call)


def test_what_is_there_stays_unless_it_may_be_replaced(tmp_path):
    store, path = make_store(tmp_path / "clips.zarr"), tmp_path / "clips.pkl"
    path.write_bytes(b"mine")
    assert "--overwrite" in refusal(path, lambda: export_mmsa(store, path))
    assert path.read_bytes() == b"mine"
    export_mmsa(store, path, overwrite=True)
    assert list(loaded(path)) == list(KEYS)
    (tmp_path / "folder").mkdir()
    folder = tmp_path / "folder"
    assert "name another" in refusal(folder, lambda: export_mmsa(store, folder, overwrite=True))


def test_an_export_that_ends_early_leaves_nothing(tmp_path):
    store = make_store(tmp_path / "clips.zarr")
    path, damaged = tmp_path / "clips.pkl", list((tmp_path / "clips.zarr/hubert").rglob("*/*"))
    for file in damaged:
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(b"\0" * file.stat().st_size)
    assert "damaged" in refusal(path, lambda: export_mmsa(store, path))


def test_an_export_that_the_disk_has_no_room_for_is_refused(tmp_path, monkeypatch):
    from collections import namedtuple

    store = make_store(tmp_path / "clips.zarr")
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("Usage", "free")(1000))
    said = refusal(tmp_path / "a.pkl", lambda: export_mmsa(store, tmp_path / "a.pkl"))
    assert "has room for 0.0 MB; cut segments with --max-rows" in said


# The way in.


@pytest.mark.parametrize("name", ["made.zarr", "made.h5"])
def test_only_the_rows_within_the_lengths_come_in(tmp_path, name):
    content = mmsa_content()
    store, _ = imported(tmp_path, content, name)
    table = store.segments
    assert (
        list(store.specs) == ["audio", "text"] and table["split"].tolist() == ["train"] * 6 + ["val"] * 6 + ["test"] * 6
    )
    for split, own in zip(KEYS, ("train", "val", "test"), strict=True):
        for place, segment in enumerate(content[split]["id"]):
            [row] = np.flatnonzero(table["segment_id"] == segment)
            frames, words = content[split]["audio_lengths"][place], int(content[split]["text_bert"][place, 1].sum())
            assert (store.read("audio", row) == content[split]["audio"][place, :frames]).all()
            assert (store.read("text", row) == content[split]["text"][place, :words]).all()
            assert len(store.read("audio", row)) == frames and len(store.read("text", row)) == words
            assert table["split"][row] == own and table["text"][row] == content[split]["raw_text"][place]
            assert table["label_label"][row] == np.float64(content[split]["regression_labels"][place])
            named = store.tasks[1].classes[table["label_annotation"][row]]
            assert named == content[split]["annotations"][place]
    assert max(np.abs(store.read("audio", row)).max() for row in range(18)) < JUNK
    assert verify(store) == [] and store.is_finished


def test_clips_are_in_the_order_of_their_numbers(tmp_path):
    table = imported(tmp_path, mmsa_content())[0].segments
    assert table["segment_id"][:3].tolist() == ["video00$_$6", "video00$_$8", "video00$_$10"]
    assert table["index"][:3].tolist() == [6, 8, 10] and set(table["recording_id"][:3]) == {"video00"}


@pytest.mark.parametrize(
    "ids, recordings, indexes",
    [
        (["a$_$0003", "a$_$0001", "b$_$0002"], ["a", "a", "b"], [1, 3, 2]),
        (["a$_$x10", "a$_$x9", "b$_$1"], ["a", "a", "b"], [0, 1, 1]),
        (["a[4]", "a[2]", "c"], ["a", "a", "c"], [2, 4, 0]),
        (["a$_$b$_$1", "$_$2", "c d"], ["a$_$b", "$_$2", "c d"], [1, 0, 0]),
    ],
)
def test_ids_of_other_kinds_are_taken_apart_as_far_as_that_goes(tmp_path, ids, recordings, indexes):
    content = mmsa_content(3)
    content["train"]["id"] = ids
    table = imported(tmp_path, content)[0].segments
    assert table["recording_id"][:3].tolist() == recordings and table["index"][:3].tolist() == indexes


def test_aligned_files_are_cut_by_the_mask_or_where_only_zeros_follow(tmp_path):
    content = mmsa_content(lengths=False)
    expected = {
        segment: values[: np.flatnonzero(values.any(axis=1))[-1] + 1]
        for split in content.values()
        for segment, values in zip(split["id"], split["audio"], strict=True)
    }
    store, said = imported(tmp_path, content)
    for row, segment in enumerate(store.segments["segment_id"]):
        assert (store.read("audio", row) == expected[segment]).all()
    assert "audio: up to 12 frames" in said and "up to the last row that is not all zero" in said
    assert "mask of text_bert" in said
    for split in content.values():  # frames for tokens, zeros among them
        split["audio"] = np.where(split["text_bert"][:, 1, :, None] > 0, split["text"], 0).astype(np.float32)
        split["audio"][:, 0] = 0
    store, _ = imported(tmp_path, content, "aligned.zarr")
    assert (store.lengths("audio") == store.lengths("text")).all()


def test_infinities_are_zero_as_in_mmsa_and_other_odd_values_are_counted(tmp_path):
    content = mmsa_content()
    audio = content["train"]["audio"]
    audio[0, 0, :2] = -np.inf
    audio[1, 0, 0] = np.nan
    content["train"]["audio"] = audio.astype(np.float64)
    content["train"]["audio"][1, 0, 1] = 1e300  # more than float32 holds
    store, said = imported(tmp_path, content)
    assert "audio: 2 values of 1 segments are -inf; they are 0 now" in said
    assert "audio: 2 values of 1 segments are +inf or no numbers; they are 0 now" in said
    [row] = np.flatnonzero(store.segments["segment_id"] == content["train"]["id"][0])
    assert store.read("audio", row)[0, :2].tolist() == [0, 0] and store.read("audio", row)[0, 2] == np.float32(
        audio[0, 0, 2]
    )


def test_vision_comes_in_where_it_is_more_than_zeros(tmp_path):
    content = mmsa_content()
    said = imported(tmp_path, content)[1]
    assert "vision: left out, all of it is zero" in said
    for split in content.values():
        split["vision"] = np.ones((6, 3, 2), np.float32)
        split["vision_lengths"] = [2] * 6
    store, _ = imported(tmp_path, content, "seen.zarr", vision="faces")
    assert store.specs["faces"].modality == "vision" and (store.lengths("faces") == 2).all()
    export_mmsa(store, tmp_path / "again.pkl")
    assert (loaded(tmp_path / "again.pkl")["test"]["vision"] == 1).all()


def test_labels_scales_and_classes_are_those_of_the_file(tmp_path):
    content = mmsa_content()
    store, said = imported(tmp_path, content)
    assert store.tasks[0] == Task("label", level="segment", scale="sentiment")
    assert store.tasks[1].classes == ("Negative", "Neutral", "Positive")
    assert "scale sentiment" in said
    for split in content.values():
        split["regression_labels"] = split["regression_labels"] / 3
        for place, end in enumerate("TAV"):
            split[f"regression_labels_{end}"] = np.full(6, place / 2)
        del split["annotations"], split["classification_labels"]
    store, _ = imported(tmp_path, content, "sims.zarr")
    assert [task.name for task in store.tasks] == ["label", "label_T", "label_A", "label_V"]
    assert {task.scale for task in store.tasks} == {"sims"} and set(store.segments["label_label_V"]) == {1.0}
    store, _ = imported(tmp_path, content, "plain.zarr", scale="none")
    assert {task.scale for task in store.tasks} == {""}


def test_another_file_makes_another_spec_and_other_identities(tmp_path):
    first, _ = imported(tmp_path, mmsa_content(), "a.zarr")
    again, _ = imported(tmp_path, mmsa_content(), "b.zarr")
    other, _ = imported(tmp_path, mmsa_content(seed=1), "c.zarr")
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.specs["audio"].differences(other.specs["audio"])
    assert (first.states("audio").identity == again.states("audio").identity).all()
    assert not (first.states("audio").identity == other.states("audio").identity).any()


@pytest.mark.parametrize("name", ["odd.zarr", "odd.h5"])
def test_odd_characters_and_kinds_of_text_come_in(tmp_path, name):
    texts = ["half \ud800", "nul \0 in it", b"bytes", np.str_("第一句"), ["in a list"], ""]
    content = changed(raw_text=texts, id=np.array([[f"v$_${place}"] for place in range(6)]))
    table = imported(tmp_path, content, name)[0].segments
    assert table["text"][:6].tolist() == ["half ?", "nul \ufffd in it", "bytes", "第一句", "in a list", ""]
    assert open_store(tmp_path / name).segments["segment_id"][5] == "v$_$5"


def test_valid_is_meant_where_dev_stands_beside_it(tmp_path):
    content = {"dev": {}, **mmsa_content(), "development": {}}
    assert (imported(tmp_path, content)[0].segments["split"] == "val").sum() == 6


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_exported_comes_back_as_it_was(tmp_path, dtype):
    specs = {"hubert": spec(max_rows=20, dtype=dtype), "roberta": spec("text", width=6, max_rows=9, dtype=dtype)}
    store = make_store(tmp_path / "clips.h5", (SENTIMENT, MOOD), specs)
    export_mmsa(store, tmp_path / "clips.pkl", MmsaExportOptions(classes="mood"))
    import_mmsa(tmp_path / "clips.pkl", tmp_path / "again.zarr", MmsaImportOptions(audio="hubert", text="roberta"))
    again = open_store(tmp_path / "again.zarr")
    for feature in specs:
        for one, other in zip(rows_of(store, feature), rows_of(again, feature), strict=True):
            assert np.array_equal(one, other)
    for column in ("recording_id", "index", "split", "text"):
        assert store.segments[column].tolist() == again.segments[column].tolist()
    assert np.allclose(store.segments["label_sentiment"], again.segments["label_label"], atol=1e-6)
    assert again.tasks[0].scale == "sentiment" and again.tasks[1].classes == MOOD.classes


def changed(split: str = "train", **keys):
    """A file in which some keys of a split are others, or, where they are None, none."""
    content = mmsa_content()
    for key, value in keys.items():
        content[split][key] = value(content[split][key]) if callable(value) else value
        if content[split][key] is None:
            del content[split][key]
    return content


RAGGED = np.empty(6, object)
RAGGED[:] = [np.zeros((place + 1, 4)) for place in range(6)]
WRONG = {
    "no splits": (lambda: [1, 2], "holds a list, not splits"),
    "a split missing": (
        lambda: {key: value for key, value in mmsa_content().items() if key != "valid"},
        "no split valid",
    ),
    "no ids": (lambda: changed(id=None), "train: id is missing"),
    "ids that repeat": (
        lambda: changed(id=lambda ids: [ids[0]] * 6),
        "is in train, twice; a segment has an id of its own",
    ),
    "an id in two splits": (lambda: changed("test", id=mmsa_content()["train"]["id"]), "is in test and train"),
    "no features": (lambda: changed(audio=None, text=None, vision=None), "has none of audio, text, vision"),
    "a feature of one split": (lambda: changed("test", audio=None), "audio is in one of train and test"),
    "labels of one split": (lambda: changed("valid", regression_labels=None), "regression_labels is in one of"),
    "no labels": (
        lambda: changed(regression_labels=None, annotations=None, classification_labels=None),
        "train: has no labels: regression_labels is missing",
    ),
    "fewer rows than ids": (lambda: changed(audio=lambda rows: rows[:5]), "train: audio is of 5 segments, and id of 6"),
    "fewer labels": (
        lambda: changed("test", regression_labels=np.zeros(4)),
        "test: regression_labels is of 4 segments",
    ),
    "fewer texts": (lambda: changed(raw_text=["a"]), "raw_text is of 1 segments"),
    "ragged arrays": (lambda: changed(audio=RAGGED), "train: audio is ragged"),
    "ragged lists": (lambda: changed(audio=[[[1.0]], [[1.0], [2.0]]] * 3), "train: audio is ragged"),
    "texts as rows": (lambda: changed(audio=np.array([["a"]] * 6)), "audio must be numbers"),
    "lengths beyond the rows": (lambda: changed(audio_lengths=[13] * 6), "is 13, and audio has 12 rows"),
    "negative lengths": (lambda: changed(audio_lengths=[-1] * 6), "is -1, and audio has 12 rows"),
    "too few lengths": (lambda: changed(audio_lengths=[1] * 5), "audio_lengths is of 5 segments"),
    "other widths": (lambda: changed("test", audio=np.zeros((6, 12, 5))), "audio is 4 values wide in train"),
    "a mask of another shape": (lambda: changed(text_bert=np.zeros((6, 2, 8))), "text_bert must be numbers of shape"),
    "labels that are texts": (
        lambda: changed(regression_labels=np.array(["a"] * 6)),
        "must be a number of each segment",
    ),
    "an empty id": (lambda: changed(id=["a", "b", "", "c", "d", "e"]), "id of segment 2 is empty"),
    "an infinite label": (lambda: changed(regression_labels=[1, 2, 3, 4, 5, np.inf]), "has an infinite number"),
    "a label that no number holds": (lambda: changed(regression_labels=[10**400] * 6), "something other than numbers"),
    "lengths that are lists": (lambda: changed(audio_lengths=[[1], [1, 2], 3, 4, 5, 6]), "audio_lengths is ragged"),
    "texts of several parts": (lambda: changed(raw_text=np.array([["a", "b"]] * 6)), "raw_text must be a text of each"),
    "a huge text": (lambda: changed(raw_text=["a" * 200_000] * 6), "has a text of over 100,000 characters"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_not_in_the_layout_is_one_line_and_no_store(tmp_path, case):
    make, said = WRONG[case]
    path = write_pickle(tmp_path / "features.pkl", make())
    line = refusal(path, lambda: import_mmsa(path, tmp_path / "made.zarr"))
    assert said in line and str(path) in line


def test_a_store_that_is_there_stays_until_the_new_one_is_whole(tmp_path):
    for name in ("made.zarr", "made.h5"):
        first, _ = imported(tmp_path, mmsa_content(), name)
        kept, before = tmp_path / name, first.fingerprint()
        good = write_pickle(tmp_path / "other.pkl", mmsa_content(seed=1))
        assert "--overwrite" in refusal(kept, lambda: import_mmsa(good, kept))  # noqa: B023
        bad = write_pickle(tmp_path / "bad.pkl", changed("test", audio_lengths=[99] * 6))
        with pytest.raises(MsmtError):
            import_mmsa(bad, kept, overwrite=True)
        assert open_store(kept).fingerprint() == before
        import_mmsa(good, kept, overwrite=True)
        assert open_store(kept).fingerprint() != before and verify(open_store(kept)) == []
    (tmp_path / "notes.zarr").mkdir()
    with pytest.raises(MsmtError, match="nothing that this command writes"):
        import_mmsa(good, tmp_path / "notes.zarr", overwrite=True)


def test_a_scale_that_labels_do_not_fit_and_names_that_repeat_are_refused(tmp_path):
    path = write_pickle(tmp_path / "features.pkl", mmsa_content())
    said = refusal(path, lambda: import_mmsa(path, tmp_path / "a.zarr", MmsaImportOptions(scale="sims")))
    assert "scale sims is from -1 to 1, but a label is" in said
    for options in ({"audio": "same", "text": "same"}, {"audio": "../x"}, {"audio": "segments"}, {"name": " "}):
        with pytest.raises(MsmtError):
            MmsaImportOptions(**options)
    with pytest.raises(MsmtError, match="max_rows must be such as"):
        MmsaExportOptions(max_rows=("sound=3",))
