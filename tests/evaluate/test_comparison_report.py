from __future__ import annotations

import io
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from msmt.evaluate import paper
from msmt.evaluate.comparison import compare, disagreements
from msmt.evaluate.comparison_report import (
    comparison_csv,
    comparison_latex,
    comparison_markdown,
    intervals_png,
    table_text,
    write_comparison,
)
from msmt.evaluate.scored import scored_from
from msmt.features.tasks import Task
from msmt.tests.evaluate.made import FIVE, TWO, VALUE, ablation, guesses, run_of

AWKWARD = r"50% of_it & $x^2$ {a} #1 ~ \z | <b> *静音* `q`"
LABELS = np.random.default_rng(0).integers(0, 5, 88)


def small(**fields):
    """Two rows of three seeds; the second is far worse."""
    runs = [
        run_of(name, guesses(LABELS, skill, seed), LABELS, seed, (FIVE, TWO), paper=published, **fields)
        for name, skill, published in (("full", 0.9, paper.MSMT_FN.name), ("no-mtl", 0.3, paper.NO_MTL.name))
        for seed in range(3)
    ]
    return compare(runs, resamples=500)


def opened(comparison, failed=None) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(comparison_csv(comparison, failed)), index_col="variant")


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Tables as lists of rows of cells, without the rule."""
    found = [[]]
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [[table[0], *table[2:]] for table in found if table]


def check_latex(text: str) -> list[list[str]]:
    """The cells of each row of the tabular; fails where LaTeX would."""
    depth = 0
    bare = re.sub(r"\\[\\{}$&#%_]", "", text)
    for character in re.sub(r"^%.*$", "", bare, flags=re.M):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0, "a brace is closed that was not opened"
    assert depth == 0, "a brace is left open"
    assert bare.count("$") % 2 == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1])
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line.strip()[: -len(r" \\")] for line in body.splitlines() if line.endswith(r" \\")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows]
    assert all(len(row) == columns for row in cells), "a row has another number of cells than there are columns"
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", re.sub(r"^%.*$", "", text, flags=re.M), flags=re.S)
    assert not re.search(r"(?<!\\)[#%_&]", outside) and "^" not in outside.replace(r"$^\dagger$", "")
    return cells


class TestCsv:
    def test_pandas_finds_a_row_for_each_variant(self):
        comparison = small(times_scored=2)
        frame = opened(comparison)
        assert comparison_csv(comparison).startswith("variant,seeds,five_accuracy_mean,five_accuracy_std,")
        assert frame.index.tolist() == ["full", "no-mtl"] and frame["seeds"].tolist() == [3, 3]
        accuracy = comparison.rows[1].cells["five"].figures["accuracy"]
        row = frame.loc["no-mtl"]
        assert row["five_accuracy_mean"] == pytest.approx(accuracy.mean, rel=1e-5)
        assert row["five_accuracy_std"] == pytest.approx(accuracy.deviation, rel=1e-5)
        assert row["five_accuracy_low"] < row["five_accuracy_mean"] < row["five_accuracy_high"]
        assert row["five_difference"] == pytest.approx(row["five_accuracy_mean"] - frame["five_accuracy_mean"]["full"])
        assert row["five_difference_low"] < row["five_difference"] < row["five_difference_high"] < 0
        assert 0 < row["five_p"] <= row["five_p_holm"] < 0.05
        assert row["five_paper"] == pytest.approx(0.5177) and row["two_paper"] == pytest.approx(0.7123)
        assert frame["test_scored"].tolist() == [2, 2]
        assert row["store"] == "cache/marketcalls.zarr" and row["fingerprint"] == "f00d"
        assert row["command"].split("; ")[2] == "msmt train --name no-mtl --seed 2"
        assert row["runs"] == "no-mtl-0; no-mtl-1; no-mtl-2"

    def test_the_reference_has_no_difference_and_one_seed_no_deviation(self):
        frame = opened(compare(ablation(2, 1), 100))
        empty = ["five_difference", "five_p", "five_p_holm", "five_accuracy_std", "five_paper"]
        assert frame.loc["variant-0", empty].isna().all()
        assert frame["five_p_mcnemar"].isna().tolist() == [True, False]

    def test_a_variant_that_failed_has_a_row_without_figures(self):
        frame = opened(small(), {"wide": "out of memory"})
        assert frame["seeds"]["wide"] == 0 and frame.loc["wide"].drop("seeds").isna().all()

    def test_real_values_have_their_own_columns(self):
        runs = [values_run(name, shift) for name, shift in (("full", 0.1), ("off", 2.0))]
        frame = opened(compare(runs, 200))
        assert {"sentiment_mae_mean", "sentiment_corr_low"} <= set(frame) and "sentiment_accuracy_mean" not in frame
        assert frame["sentiment_difference"]["off"] > 0

    def test_any_name_survives(self):
        assert opened(compare([run_of(AWKWARD, LABELS, LABELS)], 20)).index.tolist() == [AWKWARD]


def values_run(name: str, shift: float):
    truth = np.linspace(-2, 2, 40)
    ids = [f"r{index // 2}" for index in range(40)], [f"s{index}" for index in range(40)]
    outputs = {"sentiment": truth[:, None] + shift * np.sin(np.arange(40))[:, None]}
    return scored_from(name, 0, name, "test", [VALUE], {"sentiment": truth}, outputs, *ids, "s", "f", "c", 1)


class TestMarkdown:
    def test_the_paper_stands_in_the_same_row_and_the_best_of_a_column_is_bold(self):
        table = markdown_tables(comparison_markdown(small()))[0]
        assert table[0] == ["variant", "seeds", "five", "five (paper)", "two", "two (paper)"]
        full, other = table[1:]
        assert re.fullmatch(r"\*\*\d\d\.\d\*\* ± \d\.\d", full[2]) and full[3] == "60.28"
        assert re.fullmatch(r"\d\d\.\d ± \d\.\d †", other[2]) and other[3] == "51.77"

    def test_the_least_error_is_the_best(self):
        table = markdown_tables(comparison_markdown(compare([values_run("off", 2.0), values_run("full", 0.1)], 50)))[0]
        assert table[0][2] == "sentiment (MAE)"
        assert "**" not in table[1][2] and table[2][2].startswith("**0.")

    def test_rows_that_look_equal_are_bold_together(self):
        runs = [run_of(name, LABELS, LABELS) for name in ("one", "other")]
        assert all(row[2] == "**100.0**" for row in markdown_tables(comparison_markdown(compare(runs, 20)))[0][1:])

    def test_without_figures_of_the_paper_it_has_no_column(self):
        text = comparison_markdown(compare(ablation(2), 100))
        assert "paper" not in text

    def test_a_table_for_each_task_has_differences_and_their_p(self):
        header, full, other = markdown_tables(comparison_markdown(small()))[1]
        assert header[:5] == ["five", "accuracy [95% interval]", "difference [95% interval]", "p", "p (Holm)"]
        assert full[2:5] == ["–"] * 3
        assert re.fullmatch(r"−\d\d\.\d \[−\d\d\.\d, −\d\d\.\d\]", other[2]) and float(other[4].strip("< ")) <= 0.01

    def test_the_notes_say_what_a_reader_must_know(self):
        text = comparison_markdown(small(split="val", times_scored=4))
        for needed in (
            "on the split val (88 recordings), mean ± standard deviation over seeds",
            "differs from the first row, full, with p < 0.05 (paired bootstrap over recordings, 500 resamples)",
            "One run was scored on val 4 times",
            paper.caution("val", 88),
        ):
            assert needed in text, needed
        assert "cannot be compared" not in comparison_markdown(small())
        assert "Each run was scored on test once." in comparison_markdown(small())

    def test_a_mark_that_single_seeds_contradict_is_named(self):
        right = LABELS
        half = np.where(np.arange(len(LABELS)) % 2, LABELS, (LABELS + 1) % 5)
        wrong = (LABELS + 1) % 5

        def text(other_seeds):
            answers = {"full": [half, half, half], "other": other_seeds}
            runs = [
                run_of(name, guess, LABELS, seed, (FIVE,))
                for name, of_seeds in answers.items()
                for seed, guess in enumerate(of_seeds)
            ]
            table = comparison_markdown(compare(runs, 500))
            assert "†" in markdown_tables(table)[0][2][2], "the row is not marked at all"
            return table

        assert "more seeds may undo it: other (five)." in text([right, right, wrong])
        assert "more seeds may undo it" not in text([right, right, right])

    def test_seeds_and_variants_without_a_result_are_named(self):
        runs = [run for run in ablation(3) if (run.variant, run.seed) != ("variant-1", 2)]
        text = comparison_markdown(compare(runs, 50), {"wide": "out of memory."})
        assert "Without a result: variant-1 (seed 2)." in text
        assert "No seed of wide has a result: out of memory." in text
        assert markdown_tables(text)[0][-1] == ["wide", "0", "–", "–"]

    def test_each_row_says_how_to_rerun_it(self):
        text = comparison_markdown(small())
        rerun = text[text.index("## Rerun") :]
        assert rerun.count("fingerprint f00d") == 2 and "  - `msmt train --name no-mtl --seed 2`" in rerun
        assert "the paper's MSMT-FN, no multi-task learning, table 6, stands beside" in rerun

    def test_awkward_names_keep_the_table_whole(self):
        runs = [run_of(name, LABELS, LABELS) for name in (AWKWARD, "plain_name")]
        table = markdown_tables(comparison_markdown(compare(runs, 20)))[0]
        assert [len(row) for row in table] == [3, 3, 3]
        assert table[1][0] == r"50% of_it & \$x^2\$ {a} #1 ~ \\z \| \<b> \*静音\* \`q\`" and table[2][0] == "plain_name"


class TestLatex:
    def test_braces_and_columns_are_in_order_and_booktabs_rules_are_used(self):
        text = comparison_latex(small(), {"wide": "out of memory"})
        cells = check_latex(text)
        assert [row[0] for row in cells] == ["variant", "full", "no-mtl", "wide"]
        assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
        assert re.match(r"\\textbf\{\d\d\.\d\} \$\\pm\$ ", cells[1][2]) and cells[1][3] == "60.28"
        assert cells[2][2].endswith(r"$^\dagger$") and "phantom" not in cells[2][2]

    def test_special_characters_are_escaped_and_chinese_stays(self):
        runs = [run_of(name, LABELS, LABELS, command=f"msmt train --name '{name}'") for name in (AWKWARD, "plain")]
        text = comparison_latex(compare(runs, 20))
        name = check_latex(text)[1][0]
        assert r"50\% of\_it \& \$x\textasciicircum{}2\$ \{a\} \#1 \textasciitilde{} \textbackslash{}z" in name
        assert "静音" in name
        assert r"\texttt{msmt train -{}-name \textquotesingle{}50\%" in text

    def test_a_name_cannot_be_taken_for_an_argument_of_the_line_before(self):
        runs = [run_of(name, LABELS, LABELS) for name in ("full", "[2cm]", "*")]
        assert [row[0] for row in check_latex(comparison_latex(compare(runs, 20)))[2:]] == ["{[}2cm{]}", "{*}"]

    def test_it_says_the_same_as_the_markdown(self):
        text = comparison_latex(small(split="val"))
        assert "on the split val (88 recordings), mean $\\pm$ standard deviation over seeds" in text
        assert "cannot be compared" in text and text.count("fingerprint f00d") == 2


class TestPicture:
    @pytest.mark.parametrize(("variants", "seeds"), [(1, 1), (3, 1), (20, 3)])
    def test_any_number_of_rows_gives_a_picture_without_warnings(self, variants, seeds):
        comparison = compare(ablation(variants, seeds), 50)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert intervals_png(comparison).startswith(b"\x89PNG")

    def test_awkward_names_and_many_tasks_too(self):
        single = tuple((name,) for name in FIVE.classes)
        tasks = (FIVE, *(Task(f"任务 {index} $", FIVE.classes, "recording", "five", single) for index in range(5)))
        runs = [run_of(name, LABELS, LABELS, tasks=tasks) for name in (AWKWARD, "静音", "a rather long name " * 5)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert intervals_png(compare(runs, 20)).startswith(b"\x89PNG")

    def test_the_same_comparison_gives_the_same_bytes(self):
        comparison = small()
        assert intervals_png(comparison) == intervals_png(comparison)


class TestScreen:
    def test_table_differences_and_notes_are_there(self):
        lines = table_text(small()).splitlines()
        assert lines[0].split() == ["variant", "seeds", "five", "five", "(paper)", "two", "two", "(paper)"]
        assert lines[1].startswith("full") and lines[2].rstrip().endswith("71.23") and "†" in lines[2]
        assert any(line.startswith("five") and "p (Holm)" in line for line in lines)
        assert "Each run was scored on test once." in lines

    def test_single_runs_have_mcnemars_test(self):
        assert "McNemar p" in table_text(compare(ablation(2, 1), 50))
        assert "McNemar" not in table_text(compare(ablation(2, 2), 50))

    def test_one_row_alone_has_no_difference(self):
        text = table_text(compare(ablation(1), 50))
        assert "difference" not in text and "†" not in text


class TestFiles:
    def test_all_files_are_written_whole(self, tmp_path):
        runs = ablation(2, 1)
        paths = write_comparison(tmp_path / "out", "ablation", compare(runs, 50), disagreements(runs))
        names = ["ablation.csv", "ablation.md", "ablation.tex", "ablation.png", "ablation-disagreements.csv"]
        assert [path.name for path in paths] == names
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
        frame = pd.read_csv(paths[-1])
        assert frame.columns.tolist() == ["task", "recording_id", "label", "variant-0", "variant-1"]
        assert (frame["variant-0"] != frame["variant-1"]).all()

    def test_without_disagreements_there_are_four(self, tmp_path):
        assert len(write_comparison(tmp_path, "table", compare(ablation(2, 1), 50))) == 4
