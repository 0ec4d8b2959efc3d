from __future__ import annotations

import json

import numpy as np
import pytest
from msmt.errors import RunError
from msmt.evaluate.scored import load, save, scored_from
from msmt.tests.evaluate.made import FIVE, TWO, VALUE, run_of


def values_run():
    labels = {"sentiment": np.array([0.1, np.nan, -1 / 3], np.float32)}
    outputs = {"sentiment": np.array([[0.2], [0.3], [1e-9]], np.float32)}
    ids = ["情感", "情感", "b"], ["s1", "s2", "s3"]
    return scored_from(
        *("full", 1, "run", "val", [VALUE], labels, outputs, *ids, "store", "f00d", "msmt train", 2, "MMML"),
        chance={"sentiment": -0.25, "gone": 1},
        speakers=["anna", "", "安"],
        segments="all",
        values={"spec": "values"},
    )


class TestScoredFrom:
    def test_coarser_tasks_follow_from_the_finer_one(self):
        scored = run_of("full", [0, 3, 4], [0, 1, -1], tasks=(FIVE, TWO))
        assert scored.tasks == (FIVE, TWO)
        assert scored.predictions["two"].tolist() == [0, 1, 1] and scored.labels["two"].tolist() == [0, 0, -1]

    def test_tasks_without_any_label_are_left_out(self):
        scored = run_of("full", [0, 1], [-1, -1])
        assert (scored.tasks, dict(scored.predictions)) == ((), {})

    def test_what_is_not_a_number_is_refused(self):
        outputs = {"five": np.array([[0.0] * 5, [np.nan] * 5])}
        with pytest.raises(RunError, match="1 of 2 predictions are not finite"):
            scored_from("v", 0, "r", "test", [FIVE], {"five": np.zeros(2, int)}, outputs, "ab", None, "s", "f", "c", 1)


class TestFile:
    @pytest.mark.parametrize("scored", [run_of("full", [0, 3], [0, 1], tasks=(FIVE, TWO)), values_run()])
    def test_what_is_saved_is_loaded_bit_for_bit(self, tmp_path, scored):
        save(scored, tmp_path / "scored.json")
        again = load(tmp_path / "scored.json")
        for name in scored.__dataclass_fields__:
            if name in ("labels", "predictions"):
                for task, values in getattr(scored, name).items():
                    np.testing.assert_array_equal(getattr(again, name)[task], values)
                    assert getattr(again, name)[task].dtype == values.dtype
            else:
                assert getattr(again, name) == getattr(scored, name)
        assert [path.name for path in tmp_path.iterdir()] == ["scored.json"]

    def test_chance_is_kept_of_the_tasks_that_have_answers(self):
        assert values_run().chance == {"sentiment": -0.25}

    def test_a_file_of_an_earlier_version_has_neither_chance_nor_speakers(self, tmp_path):
        save(values_run(), tmp_path / "scored.json")
        document = json.loads((tmp_path / "scored.json").read_text())
        del document["chance"], document["speakers"]
        (tmp_path / "scored.json").write_text(json.dumps(document))
        earlier = load(tmp_path / "scored.json")
        assert earlier.chance == {} and earlier.speakers is None and earlier.paper == "MMML"

    def test_the_file_is_strict_json(self, tmp_path):
        save(values_run(), tmp_path / "scored.json")
        text = (tmp_path / "scored.json").read_text()
        document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert document["labels"]["sentiment"][1] is None and "情感" in text

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (None, "is not there"),
            ('{"format": "msm', "is not whole JSON"),
            ("[]", "of this version"),
            ('{"format": "msmt-scored", "format_version": 99}', "of this version"),
            ('{"format": "msmt-scored", "format_version": 1}', "damaged"),
        ],
    )
    def test_a_file_that_cannot_be_used_says_what_to_do(self, tmp_path, content, says):
        path = tmp_path / "scored.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(RunError, match=f"{says}.*score the run again"):
            load(path)
