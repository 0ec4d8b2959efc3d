from __future__ import annotations

import io
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from msmt.evaluate.published import marketcalls, registry
from msmt.evaluate.comparison import compare
from msmt.evaluate.disagreements import disagreements
from msmt.evaluate.tables.files import write_comparison
from msmt.evaluate.tables.latex import comparison_latex
from msmt.evaluate.tables.markdown import comparison_markdown
from msmt.evaluate.tables.picture import intervals_png
from msmt.evaluate.tables.records import comparison_csv
from msmt.evaluate.tables.screen import table_text
from msmt.evaluate.scored import scored_from
from msmt.features.tasks import Task
from msmt.tests.evaluate.made import FIVE, TWO, VALUE, ablation, guesses, run_of

AWKWARD = r"50% of_it & $x^2$ {a} #1 ~ \z | <b> *静音* `q`"
LABELS = np.random.default_rng(0).integers(0, 5, 88)


def small(**fields):
    """Two rows of three seeds; the second is far worse."""
    runs = [
        run_of(name, guesses(LABELS, skill, seed), LABELS, seed, (FIVE, TWO), paper=published, **fields)
        for name, skill, published in (("full", 0.9, marketcalls.FULL.name), ("no-mtl", 0.3, marketcalls.NO_MTL.name))
        for seed in range(3)
    ]
    return compare(runs)


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
    assert not re.search(r"(?<!\\)[#%_&]", outside) and "^" not in re.sub(r"\$\^\\d+agger\$", "", outside)
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
        frame = opened(compare(ablation(2, 1)))
        empty = ["five_difference", "five_p", "five_p_holm", "five_accuracy_std", "five_paper"]
        assert frame.loc["variant-0", empty].isna().all()
        assert frame["five_p_mcnemar"].isna().tolist() == [True, False]

    def test_a_variant_that_failed_has_a_row_without_figures(self):
        frame = opened(small(), {"wide": "out of memory"})
        assert frame["seeds"]["wide"] == 0 and frame.loc["wide"].drop("seeds").isna().all()

    def test_real_values_have_their_own_columns(self):
        runs = [values_run(name, shift) for name, shift in (("full", 0.1), ("off", 2.0))]
        frame = opened(compare(runs))
        assert {"sentiment_mae_mean", "sentiment_corr_low"} <= set(frame) and "sentiment_accuracy_mean" not in frame
        assert frame["sentiment_difference"]["off"] > 0

    def test_any_name_survives(self):
        assert opened(compare([run_of(AWKWARD, LABELS, LABELS)])).index.tolist() == [AWKWARD]


def values_run(name: str, shift: float, **fields):
    truth = np.linspace(-2, 2, 40)
    ids = [f"r{index // 2}" for index in range(40)], [f"s{index}" for index in range(40)]
    outputs = {"sentiment": truth[:, None] + shift * np.sin(np.arange(40))[:, None]}
    return scored_from(name, 0, name, "test", [VALUE], {"sentiment": truth}, outputs, *ids, "s", "f", "c", 1, **fields)


class TestMarkdown:
    def test_the_paper_stands_in_the_same_row_and_the_best_of_a_column_is_bold(self):
        table = markdown_tables(comparison_markdown(small()))[0]
        assert table[0] == ["variant", "seeds", "five", "five (paper)", "two", "two (paper)"]
        full, other = table[1:]
        assert re.fullmatch(r"\*\*\d\d\.\d\*\* ± \d\.\d", full[2]) and full[3] == "60.28"
        assert re.fullmatch(r"\d\d\.\d ± \d\.\d †", other[2]) and other[3] == "51.77"

    def test_the_least_error_is_the_best(self):
        table = markdown_tables(comparison_markdown(compare([values_run("off", 2.0), values_run("full", 0.1)])))[0]
        assert table[0][2] == "sentiment (MAE)"
        assert "**" not in table[1][2] and table[2][2].startswith("**0.")

    def test_rows_that_look_equal_are_bold_together(self):
        runs = [run_of(name, LABELS, LABELS) for name in ("one", "other")]
        assert all(row[2] == "**100.0**" for row in markdown_tables(comparison_markdown(compare(runs)))[0][1:])

    def test_without_figures_of_the_paper_it_has_no_column(self):
        text = comparison_markdown(compare(ablation(2)))
        assert "paper" not in text

    def test_a_table_for_each_task_has_differences_and_their_p(self):
        header, full, other = markdown_tables(comparison_markdown(small()))[1]
        expected = ["five", "accuracy [95% interval]", "difference [95% interval]", "over", "p", "p (Holm)"]
        assert header[:6] == expected and full[2:6] == ["–"] * 4 and other[3] == "recordings and seeds"
        assert re.fullmatch(r"−\d\d\.\d \[−\d\d\.\d, −\d\d\.\d\]", other[2]) and float(other[5].strip("< ")) <= 0.01

    def test_the_notes_say_what_a_reader_must_know(self):
        text = comparison_markdown(small(split="val", times_scored=4))
        for needed in (
            "on the split val (88 recordings), mean ± standard deviation over seeds",
            "differs from the first row, full, with p < 0.05 over recordings and seeds",
            "(t test of the paired difference)",
            "95% intervals are over recordings and seeds.",
            "One run was scored on val 4 times",
            registry.caution("marketcalls", "val", 88),
        ):
            assert needed in text, needed
        assert "cannot be compared" not in comparison_markdown(small())
        assert "Each run was scored on test once." in comparison_markdown(small())

    def test_single_seeds_are_not_marked_and_their_p_says_what_it_is_over(self):
        text = comparison_markdown(compare(ablation(2, 1, recordings=600)))
        assert "No row is marked: a mark (†) needs 3 seeds or more of the row and of the first one." in text
        assert "A p over recordings only does not account for seeds" in text
        header, first, second = markdown_tables(text)[1]
        at = header.index("over")
        assert (first[at], second[at]) == ("–", "recordings only") and "†" not in markdown_tables(text)[0][2][2]

    def test_two_seeds_are_not_marked_but_accounted_for(self):
        text = comparison_markdown(compare(ablation(2, 2)))
        assert "No row is marked" in text and "does not account for seeds" not in text
        assert "recordings and seeds" in markdown_tables(text)[1][2]

    def test_rows_of_too_few_seeds_are_named(self):
        runs = [run for run in ablation(3) if run.variant != "variant-2" or run.seed == 0]
        assert "Not marked, whatever their p: variant-2: a mark (†) needs 3 seeds" in comparison_markdown(compare(runs))

    def test_the_chance_line_is_the_last_row_of_each_table(self):
        runs = [
            run_of(name, guesses(LABELS, 0.6, 0), LABELS, tasks=(FIVE, TWO), chance={"five": 1, "two": 0})
            for name in ("full", "new")
        ]
        text = comparison_markdown(compare(runs))
        main, five, two = markdown_tables(text)
        expected = f"{100 * (LABELS == 1).mean():.1f}"
        assert main[-1] == ["most frequent class", "–", expected, f"{100 * (LABELS < 3).mean():.1f}"]
        assert five[-1][:2] == ["most frequent class (B)", expected] and two[-1][0] == "most frequent class (A+B+C)"
        assert "gives this answer of the training split to everything: B (five), A+B+C (two)." in text
        assert opened(compare(runs)).loc["most frequent class", "five_accuracy_mean"] == pytest.approx(
            (LABELS == 1).mean(), rel=1e-5
        )

    def test_the_chance_line_of_real_values_is_the_mean_of_training(self):
        runs = [values_run(name, 0.1, chance={"sentiment": 0.5}) for name in ("full", "new")]
        main, values = markdown_tables(comparison_markdown(compare(runs)))
        assert main[-1][0] == "mean of training" and values[-1][0] == "mean of training (0.5)"

    def test_one_answer_to_everything_is_marked_and_never_bold(self):
        labels = np.array([0] * 60 + [1] * 40)
        runs = [run_of("full", guesses(labels, 0.1, 0), labels), run_of("flat", np.zeros(100, int), labels)]
        text = comparison_markdown(compare(runs))
        full, flat = markdown_tables(text)[0][1:]
        assert full[2].startswith("**") and flat[2] == "60.0 ‡"
        assert "‡: answers one thing only, whatever it is given: flat (five: A)." in text
        assert opened(compare(runs))["five_constant_seeds"].tolist() == [0, 1]
        assert r"60.0$^\ddagger$" in comparison_latex(compare(runs))
        assert "60.0 ‡" in table_text(compare(runs))

    def test_if_all_rows_are_one_answer_the_best_of_them_is_bold(self):
        labels = np.array([0] * 60 + [1] * 40)
        runs = [run_of(f"flat-{answer}", np.full(100, answer), labels) for answer in (0, 1)]
        table = markdown_tables(comparison_markdown(compare(runs)))[0]
        assert [row[2] for row in table[1:]] == ["**60.0** ‡", "40.0 ‡"]

    def test_how_many_seeds_give_one_answer_is_said(self):
        answers = [np.full(88, 3), LABELS, guesses(LABELS, 0.5, 0)]
        runs = [run_of("full", answer, LABELS, seed) for seed, answer in enumerate(answers)]
        assert "full (five: D, 1 of 3 seeds)" in comparison_markdown(compare(runs))

    def test_an_interval_without_width_says_so(self):
        runs = [run_of(name, LABELS, LABELS) for name in ("full", "same")]
        text = comparison_markdown(compare(runs))
        assert "0.0 \\[no width\\]" in text or "0.0 [no width]" in text
        assert "have no width and say nothing: same (five difference)." in text
        assert "[no width]" in table_text(compare(runs))
        assert opened(compare(runs))["without_width"].fillna("").tolist() == ["", "five difference"]

    def test_speakers_are_counted_and_named(self):
        speakers = [f"s{index % 12}" for index in range(88)]
        runs = [run_of(name, guesses(LABELS, 0.6, 0), LABELS, speakers=speakers) for name in ("full", "new")]
        text = comparison_markdown(compare(runs, unit="speaker"))
        assert "(88 recordings of 12 speakers)" in text and "95% intervals are over speakers." in text
        assert "speakers only" in text

    def test_seeds_and_variants_without_a_result_are_named(self):
        runs = [run for run in ablation(3) if (run.variant, run.seed) != ("variant-1", 2)]
        text = comparison_markdown(compare(runs), {"wide": "out of memory."})
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
        table = markdown_tables(comparison_markdown(compare(runs)))[0]
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
        text = comparison_latex(compare(runs))
        name = check_latex(text)[1][0]
        assert r"50\% of\_it \& \$x\textasciicircum{}2\$ \{a\} \#1 \textasciitilde{} \textbackslash{}z" in name
        assert "静音" in name
        assert "%   msmt train --name '50% of_it & $x^2$" in text  # a comment is what can be typed

    def test_a_name_cannot_be_taken_for_an_argument_of_the_line_before(self):
        runs = [run_of(name, LABELS, LABELS) for name in ("full", "[2cm]", "*")]
        assert [row[0] for row in check_latex(comparison_latex(compare(runs)))[2:]] == ["{[}2cm{]}", "{*}"]

    def test_it_says_the_same_as_the_markdown(self):
        text = comparison_latex(small(split="val"))
        assert "on the split val (88 recordings), mean $\\pm$ standard deviation over seeds" in text
        assert "cannot be compared" in text

    def test_how_to_rerun_a_row_stands_in_comments(self):
        text = comparison_latex(small(command="msmt train --name 'a\nb' && msmt eval"))
        lines = text.splitlines()
        end = lines.index(r"\end{itemize}")
        assert all(line.startswith("% ") for line in lines[end + 1 :])
        assert "%   msmt train --name 'a b' && msmt eval" in lines and text.count("% full: store") == 1
        assert r"\texttt" not in text and r"\raggedright" not in text


class TestPicture:
    @pytest.mark.parametrize(("variants", "seeds"), [(1, 1), (3, 1), (20, 3)])
    def test_any_number_of_rows_gives_a_picture_without_warnings(self, variants, seeds):
        comparison = compare(ablation(variants, seeds))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert intervals_png(comparison).startswith(b"\x89PNG")

    def test_awkward_names_and_many_tasks_too(self):
        single = tuple((name,) for name in FIVE.classes)
        tasks = (FIVE, *(Task(f"任务 {index} $", FIVE.classes, "recording", "five", single) for index in range(5)))
        runs = [run_of(name, LABELS, LABELS, tasks=tasks) for name in (AWKWARD, "静音", "a rather long name " * 5)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert intervals_png(compare(runs)).startswith(b"\x89PNG")

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
        assert "McNemar p" in table_text(compare(ablation(2, 1)))
        assert "McNemar" not in table_text(compare(ablation(2, 2)))

    def test_one_row_alone_has_no_difference(self):
        text = table_text(compare(ablation(1)))
        assert "difference" not in text and "†" not in text


class TestFiles:
    def test_all_files_are_written_whole(self, tmp_path):
        runs = ablation(2, 1)
        paths = write_comparison(tmp_path / "out", "ablation", compare(runs), disagreements(runs))
        names = ["ablation.csv", "ablation.md", "ablation.tex", "ablation.png", "ablation-disagreements.csv"]
        assert [path.name for path in paths] == names
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
        frame = pd.read_csv(paths[-1])
        assert frame.columns.tolist() == ["task", "recording_id", "label", "variant-0", "variant-1"]
        assert (frame["variant-0"] != frame["variant-1"]).all()

    def test_without_disagreements_there_are_four(self, tmp_path):
        assert len(write_comparison(tmp_path, "table", compare(ablation(2, 1)))) == 4
