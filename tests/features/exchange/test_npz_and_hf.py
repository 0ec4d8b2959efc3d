"""Arrays for numpy and tables for Hugging Face's datasets hold what the store holds, and nothing half."""

from __future__ import annotations

import sys

import datasets
import numpy as np
import pytest
from msmt.errors import MsmtError
from msmt.features.exchange.to_hf import export_hf
from msmt.features.exchange.to_npz import export_npz
from msmt.features.tasks import Task
from msmt.tests.features.exchange.made import MOOD, SENTIMENT, SPECS, make_store
from msmt.tests.features.made import spec

VECTORS = {**SPECS, "text": spec("text", width=5, max_rows=1, unit="vector", dtype="float32")}


@pytest.fixture
def store(tmp_path):
    """One in which two rows are missing, one segment has no mood, and a feature has the name of a column."""
    moods = [row % 3 for row in range(40)]
    moods[7] = -1
    values = np.linspace(-3, 3, 40)
    values[9] = np.nan
    columns = {"label_mood": moods, "label_sentiment": values, "split": ["train"] * 24 + ["dev"] * 8 + ["fold 1"] * 8}
    return make_store(tmp_path / "clips.zarr", (SENTIMENT, MOOD), VECTORS, {"hubert": (0, 33)}, **columns)


def test_numpy_reads_every_row_and_column_without_pickles(store, tmp_path):
    export_npz(store, tmp_path / "clips.npz")
    arrays = np.load(tmp_path / "clips.npz", allow_pickle=False)
    for name in store.specs:
        offsets, values = arrays[f"{name}/offsets"], arrays[f"{name}/values"]
        assert values.dtype == store.specs[name].stored_type and len(offsets) == 41
        for row in range(40):
            own = values[offsets[row] : offsets[row + 1]]
            assert arrays[f"{name}/complete"][row] == (store.lengths(name)[row] >= 0)
            assert np.array_equal(own, store.read(name, row)) if arrays[f"{name}/complete"][row] else not len(own)
    for column, values in store.segments.items():
        assert np.array_equal(arrays[f"segments/{column}"], values.tolist(), equal_nan=values.dtype.kind == "f")
    assert arrays["classes/mood"].tolist() == list(MOOD.classes) and arrays["scheme"].tolist() == ["standard"]


def test_the_same_store_makes_the_same_archive(store, tmp_path):
    for name in ("a.npz", "b.npz"):
        export_npz(store, tmp_path / name, ("roberta",))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not any(name.startswith("hubert") for name in np.load(tmp_path / "a.npz").files)


def test_a_store_without_labels_is_exported_too(tmp_path):
    store = make_store(tmp_path / "clips.zarr", ())
    export_npz(store, tmp_path / "clips.npz")
    export_hf(store, tmp_path / "clips")
    assert len(datasets.load_from_disk(str(tmp_path / "clips"))["train"]) == 24


def test_datasets_reads_every_row_and_column(store, tmp_path):
    made = export_hf(store, tmp_path / "clips")
    splits = datasets.load_from_disk(str(tmp_path / "clips"))
    assert list(splits) == ["train", "validation", "fold_1"] and [len(each) for each in splits.values()] == [24, 8, 8]
    assert "text_features: vectors of 5 values, float32" in made.lines
    columns = splits["train"].features
    assert columns["label_mood"].names == list(MOOD.classes) and columns["hubert"].feature.feature.dtype == "float16"
    row, table = 0, store.segments
    for each in splits.values():
        for found in each.with_format("numpy"):
            for feature, column in (("hubert", "hubert"), ("roberta", "roberta"), ("text", "text_features")):
                if store.lengths(feature)[row] < 0:
                    assert found[column] is None
                    continue
                own = store.read(feature, row)
                assert np.array_equal(found[column], own[0] if feature == "text" else own)
            assert found["segment_id"] == table["segment_id"][row] and found["text"] == table["text"][row]
            row += 1
    train = splits["train"]
    assert train[7]["label_mood"] is None and train[8]["label_mood"] == 2
    assert train[9]["label_sentiment"] is None and train[8]["label_sentiment"] == table["label_sentiment"][8]


def test_nothing_but_the_folder_is_left(store, tmp_path, capfd):
    export_hf(store, tmp_path / "clips", ("roberta",))
    assert sorted(each.name for each in tmp_path.iterdir() if "lock" not in each.name) == ["clips", "clips.zarr"]
    assert capfd.readouterr().err == ""


def test_a_folder_is_replaced_only_where_it_is_a_dataset(store, tmp_path):
    path = tmp_path / "clips"
    export_hf(store, path, ("roberta",))
    with pytest.raises(MsmtError, match="--overwrite"):
        export_hf(store, path)
    export_hf(store, path, ("text",), overwrite=True)
    assert "roberta" not in datasets.load_from_disk(str(path))["train"].features
    (tmp_path / "mine").mkdir()
    with pytest.raises(MsmtError, match="name another"):
        export_hf(store, tmp_path / "mine", overwrite=True)


def test_without_the_library_the_extra_is_named(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MsmtError, match=r"pip install 'msmt\[hf\]'"):
        export_hf(store, tmp_path / "clips")


@pytest.mark.parametrize("export, name", [(export_npz, "clips.npz"), (export_hf, "clips")])
def test_what_cannot_be_exported_is_one_line_and_nothing_else(store, tmp_path, export, name):
    before = sorted(each.name for each in tmp_path.iterdir())
    for options, said in (
        ({"features": ("wavlm",)}, "choose --features from hubert, roberta, text"),
        ({"scheme": "fold9"}, "there is no scheme"),
        ({"views": ("noise",)}, "has no view 'noise', only original"),
    ):
        with pytest.raises(MsmtError, match=said):
            export(store, tmp_path / name, **options)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_numpy_must_know_the_file_by_its_name(store, tmp_path):
    with pytest.raises(MsmtError, match=r"must end in \.npz"):
        export_npz(store, tmp_path / "clips.bin")


def test_labels_of_recordings_and_values_of_any_name_are_columns(tmp_path):
    tasks = (Task("grade", ("a", "b")), Task("next", MOOD.classes, "segment"))
    columns = {"label_grade": [row // 4 % 2 for row in range(40)], "label_next": [0] * 40}
    export_npz(make_store(tmp_path / "c.zarr", tasks, **columns), tmp_path / "c.npz")
    assert np.load(tmp_path / "c.npz")["segments/label_grade"].tolist() == columns["label_grade"]
