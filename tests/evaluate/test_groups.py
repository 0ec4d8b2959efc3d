from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from msmt.errors import SettingError
from msmt.evaluate.groups import (
    SEVERAL,
    UNKNOWN,
    Group,
    column_named,
    evaluate_groups,
    groups_csv,
    groups_json,
    groups_of,
    groups_table,
)
from msmt.evaluate.metrics import evaluate
from msmt.features.segments import segment_table
from msmt.tests.evaluate.made import FIVE, MOOD, TWO, VALUE

NORTH, SOUTH = Group("north"), Group("south")
LABELS = {"five": np.array([0, 1, 4, 0, 2, -1]), "two": np.array([0, 0, 1, 0, 0, -1])}
OUTPUTS = {"five": np.eye(5)[[0, 1, 3, 0, 0, 0]]}
GROUPS = (SOUTH, NORTH, NORTH, NORTH, Group("unknown", UNKNOWN), Group("several", SEVERAL))


def table(rows: list[tuple[str, str]], **columns) -> pd.DataFrame:
    """Segments of these recordings and dialects."""
    recordings, dialects = zip(*rows, strict=True)
    given = {
        "segment_id": [f"s{number}" for number in range(len(rows))],
        "recording_id": recordings,
        "index": range(len(rows)),
        "split": "test",
        "audio": "",
        "extra_dialect": dialects,
    }
    return segment_table(pd.DataFrame({**given, **columns}), ())


def grouped_by(groups, tasks, labels, outputs, **more):
    """Figures by dialect."""
    whole = evaluate(tasks, labels, outputs, more.get("recordings"), more.get("chance"), more.get("units"))
    return evaluate_groups("extra_dialect", groups, whole, tasks, labels, outputs, **more)


class TestColumn:
    def test_a_kept_column_may_be_named_as_in_the_csv(self):
        segments = table([("r1", "north")])
        assert column_named("dialect", segments) == column_named("extra_dialect", segments) == "extra_dialect"
        assert column_named("speaker", segments) == "speaker"

    def test_a_column_of_msmt_comes_before_a_kept_one_of_the_same_name(self):
        segments = table([("r1", "north")], extra_speaker="x", extra_view="y")
        assert column_named("speaker", segments) == "speaker" and column_named("view", segments) == "extra_view"

    @pytest.mark.parametrize("asked", ["view", "text", "label_five", "accent", "extra_"])
    def test_any_other_is_refused_in_a_line_that_names_those_there(self, asked):
        with pytest.raises(SettingError, match="it has recording_id, split, channel, speaker, dialect: ") as raised:
            column_named(asked, table([("r1", "north")]))
        assert repr(asked) in str(raised.value)


class TestGroupsOfItems:
    def test_a_recording_has_the_value_of_all_of_its_segments(self):
        rows = [("r1", "north"), ("r1", "north"), ("r2", "south")]
        assert groups_of(table(rows), "extra_dialect", ["r2", "r1"]) == (SOUTH, NORTH)

    def test_different_values_are_several_and_a_gap_is_unknown(self):
        rows = [("r1", "north"), ("r1", "south"), ("r1", ""), ("r2", "north"), ("r2", " "), ("r3", "")]
        several, unknown = Group("several", SEVERAL), Group("unknown", UNKNOWN)
        assert groups_of(table(rows), "extra_dialect", ["r1", "r2", "r3"]) == (several, unknown, unknown)

    def test_a_value_that_is_called_unknown_stays_a_value(self):
        groups = groups_of(table([("r1", "unknown"), ("r2", "")]), "extra_dialect", ["r1", "r2"])
        assert len(set(groups)) == 2 and [group.shown for group in groups] == ["unknown", "(unknown)"]

    def test_segments_have_their_own_values(self):
        segments = table([("r1", "north"), ("r1", "south")])
        assert groups_of(segments, "extra_dialect", ["r1", "r1"], ["s1", "s0"]) == (SOUTH, NORTH)

    def test_other_splits_altered_copies_and_removed_rows_do_not_count(self):
        rows = [("r1", "north"), ("r1", "a"), ("r1", "b"), ("r1", "c")]
        segments = table(
            rows, split=["test", "train", "test", "removed"], view=["original", "original", "noise", "original"]
        )
        assert groups_of(segments, "extra_dialect", ["r1"], splits=["test"]) == (NORTH,)
        assert groups_of(segments, "extra_dialect", ["r1"])[0].kind == SEVERAL

    def test_a_channel_that_no_agent_is_known_to_be_on_is_unknown(self):
        segments = table([("r1", ""), ("r2", "")], agent_channel=[1, -1])
        column = column_named("agent_channel", segments)
        assert [group.name for group in groups_of(segments, column, ["r1", "r2"])] == ["1", "unknown"]

    def test_more_than_fifty_groups_are_refused_in_one_line(self):
        rows = [(f"r{number}", f"dialect {number}") for number in range(51)]
        ids = [recording for recording, _ in rows]
        assert len(set(groups_of(table(rows), "extra_dialect", ids[:50]))) == 50
        with pytest.raises(SettingError, match="there are 51 groups by extra_dialect, and tables hold 50"):
            groups_of(table(rows), "extra_dialect", ids)


class TestFigures:
    def small(self):
        return grouped_by(GROUPS, [FIVE, TWO], LABELS, OUTPUTS, chance={"five": 0})

    def test_each_group_has_the_report_of_its_items_alone(self):
        north = self.small().reports[NORTH]["five"]
        labels = {name: values[1:4] for name, values in LABELS.items()}
        mine = evaluate([FIVE, TWO], labels, {"five": np.eye(5)[[1, 3, 0]]})
        assert north.figures == mine["five"].figures and north.count == 3
        assert north.figures["accuracy"].value == pytest.approx(2 / 3)
        assert north.chance.figures["accuracy"] == pytest.approx(1 / 3)
        assert self.small().reports[NORTH]["two"].derived_from == "five"

    def test_values_come_first_and_a_group_without_labels_has_no_row(self):
        grouped = self.small()
        assert [group.name for group in grouped.reports] == ["north", "south", "several", "unknown"]
        assert [group.name for group in grouped.of_tasks()["five"]] == ["north", "south", "unknown"]

    def test_numbers_are_in_the_order_of_numbers(self):
        groups = [Group(name) for name in ("10", "9", "-1")]
        grouped = grouped_by(groups, [FIVE], {"five": np.array([0, 1, 2])}, {"five": np.eye(5)[:3]})
        assert [group.name for group in grouped.reports] == ["-1", "9", "10"]

    def test_the_screen_shows_a_table_per_task_and_says_where_an_interval_has_no_width(self):
        five, two, note = groups_table(self.small()).split("\n\n")
        lines = five.splitlines()
        assert " ".join(lines[0].split()) == "five by extra_dialect n accuracy macro F1 most frequent class (A)"
        assert lines[1].split()[:3] == ["north", "3", "66.7"] and lines[1].split()[-1] == "33.3"
        assert lines[2].split() == ["south", "1", "100.0", "[no", "width]", "100.0", "100.0"]
        assert lines[3].startswith("(unknown)") and len(lines) == 4
        assert two.startswith("two by extra_dialect") and "most frequent" not in two
        assert note.startswith("[no width]: a group of one recording")

    def test_segments_are_counted_beside_their_recordings_and_speakers(self):
        labels, outputs = {"mood": np.array([0, 1, 0, 1])}, {"mood": np.eye(2)[[0, 1, 1, 1]]}
        recordings = ["r1", "r1", "r2", "r3"]
        speakers = ["anna", "anna", "anna", "ben"]
        grouped = grouped_by(
            [NORTH] * 4, [MOOD], labels, outputs, recordings=recordings, units=speakers, unit="speaker"
        )
        head, north = groups_table(grouped).splitlines()
        assert head.split()[3:7] == ["n", "recordings", "speakers", "accuracy"]
        assert north.split()[:5] == ["north", "4", "3", "2", "75.0"]

    def test_real_values_show_their_error_and_all_groups_the_same_kinds_of_figures(self):
        labels, outputs = {"sentiment": np.array([-2.0, 1.0, 5.0, 4.0])}, {"sentiment": np.zeros((4, 1))}
        groups = [NORTH, NORTH, SOUTH, SOUTH]
        grouped = grouped_by(
            groups, [VALUE], labels, outputs, recordings=["r1", "r2", "r3", "r4"], chance={"sentiment": 1.0}
        )
        for of_group in grouped.reports.values():  # the north's alone would be taken for sentiment
            report = of_group["sentiment"]
            assert set(report.figures) == set(report.chance.figures) == {"mae", "corr"}
        head, north, south = groups_table(grouped).splitlines()[:3]
        assert "MAE" in head and "mean of training (1)" in head
        assert north.split()[:4] == ["north", "2", "2", "1.500"] and south.split()[-1] == "3.500"


class TestFiles:
    def strange(self):
        groups = [Group("=1+1\x1b[31m"), Group("=1+1\x1b[31m"), Group("北")]
        return grouped_by(groups, [FIVE], {"five": np.array([0, 1, 2])}, {"five": np.eye(5)[[0, 2, 2]]})

    def test_the_json_is_strict_and_has_exact_names(self):
        document = json.loads(json.dumps(groups_json(self.strange()), allow_nan=False))
        assert document["column"] == "extra_dialect"
        first, second = document["groups"]
        assert (first["group"], first["kind"], second["group"]) == ("=1+1\x1b[31m", "value", "北")
        accuracy = first["tasks"]["five"]["figures"]["accuracy"]
        assert accuracy["value"] == 0.5 and accuracy["interval_has_width"] is True

    def test_the_csv_has_a_row_per_task_and_group_that_no_spreadsheet_obeys(self):
        first, second = csv.DictReader(io.StringIO(groups_csv(self.strange())))
        assert (first["task"], first["group"]) == ("five", "'=1+1\\x1b[31m")
        assert (first["kind"], first["count"]) == ("value", "2")
        assert float(first["accuracy_low"]) < 0.5 < float(first["accuracy_high"]) and first["accuracy_chance"] == ""
        assert second["group"] == "北" and second["accuracy_interval_has_width"] == "False"

    def test_the_screen_is_not_obeyed_either(self):
        shown = groups_table(self.strange())
        assert "\x1b" not in shown and "=1+1\\x1b[31m" in shown
