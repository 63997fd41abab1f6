"""What a results says and leaves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from written_comparisons import rows_of, written
from written_runs import falling_curves, write_run, write_sweep

from stopcli.analysis.compare import CompareResults, compare, difference_of
from stopcli.analysis.compare_report import curves_of, figures_of, output_of, tables_of
from stopcli.errors import ConfigError
from stopcli.runs.predictions import PredictedClasses, write_predictions

A, B = [0.90, 0.91, 0.89, 0.92, 0.90], [0.93, 0.95, 0.92, 0.93, 0.94]


def compared(*paths: str, **options: Any) -> CompareResults:
    return compare([Path(path) for path in paths], **options)


def keep_predictions(path: Path, final: str, saved: str, rows: str = "hash") -> None:
    """Keep what a run's models predict: right where there is a 1."""
    target = np.arange(len(final), dtype=np.uint8) % 10
    final_classes, saved_classes = (np.where([mark == "1" for mark in marks], target, 10) for marks in (final, saved))
    predictions = PredictedClasses(rows, target, final_classes.astype(np.uint8), saved_classes.astype(np.uint8))
    write_predictions(path / "predictions.npz", predictions)


def two_runs_with_predictions() -> None:
    """Of 20 rows, the final models have 18 and 10 right, and the saved ones 19 and 19."""
    keep_predictions(write_run("a", accuracy=0.9, saved=0.95), "1" * 18 + "00", "1" * 19 + "0")
    keep_predictions(write_run("b", hidden=7, accuracy=0.5, saved=0.95), "0" + "1" * 10 + "0" * 9, "0" + "1" * 19)


def test_two_single_runs_are_compared_row_by_row() -> None:
    two_runs_with_predictions()
    results = compared("a", "b")
    folder, summary = written(results)
    assert summary["conclusions"][:2] == [
        "b is worse than a on 20 test rows: test accuracy of the final model 0.500 against 0.900.",
        "b and a cannot be told apart on 20 test rows: test accuracy of the saved model 0.950 against 0.950.",
    ]
    final, saved = (difference["on_rows"] for difference in summary["differences"])
    assert [final[name] for name in ("both_right", "only_first", "only_second", "both_wrong")] == [10, 0, 8, 2]
    assert final["p"] == pytest.approx(2 / 2**8)
    assert final["distinguishable"]
    assert (saved["only_first"], saved["only_second"], saved["p"]) == (1, 1, 1.0)
    # Over seeds, a single run still has no interval.
    assert summary["differences"][0]["p"] is None
    assert (
        "McNemar's exact p = 0.0078) on the same 20 test rows; only b is right on 0, only a on 8: worse."
        in (summary["conclusions"][2])
    )
    table = tables_of(results)[1]
    assert table.rows[0][2:] == ("20 rows", "-0.4000", "-0.6016 to -0.1407", "0.0078", "0 to 8 rows", "worse")
    assert "McNemar's exact test" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("b/predictions.npz is missing; runs that were ended early do not have it", lambda file: file.unlink()),
        ("b/predictions.npz: damaged (", lambda file: file.write_bytes(b"PK\3\4 no archive")),
        ("the runs have other test rows, or the same in another order.", lambda file: keep_predictions(
            file.parent, "1" * 10 + "0" * 10, "1" * 19 + "0", "other")),
        ("b/predictions.npz is not of the model whose accuracy was measured.", lambda file: keep_predictions(
            file.parent, "1" * 20, "1" * 20)),
    ],
)  # fmt: skip
def test_why_the_rows_of_two_runs_are_not_compared_is_said(reason: str, change: Any) -> None:
    two_runs_with_predictions()
    change(Path("b/predictions.npz"))
    results = compared("a", "b")
    assert all(comparison.on_rows is None for comparison in results.comparisons)
    assert f"fewer than 3 seeds give no interval. (The rows are not compared: {reason}" in results.conclusions()[0]


def test_with_several_seeds_seeds_are_compared_and_no_rows() -> None:
    two_runs_with_predictions()
    write_run("b2", hidden=7, seed=1, accuracy=0.6)
    results = compared("a", "b", "b2")
    assert all(comparison.on_rows is None for comparison in results.comparisons)
    assert "rows" not in results.conclusions()[0]
    # Nor where something else than the test accuracy is compared.
    assert compared("a", "b", metric="test_loss").comparisons[0].on_rows is None
    assert compare([Path("a"), Path("b")], metric="test_accuracy", mode="min").comparisons[0].on_rows is None


def test_numbers_are_those_of_the_runs() -> None:
    write_sweep("sweep", {"simple": A, "erased": B})
    folder, summary = written(compared("sweep"))
    by_label = {row["label"]: row for row in rows_of(folder / "table.csv")}
    final = {name: [float(row[f"final_test_accuracy_{name}"]) for row in by_label.values()] for name in ("mean", "sd")}
    assert final["mean"] == pytest.approx([np.mean(A), np.mean(B)])
    assert final["sd"] == pytest.approx([np.std(A, ddof=1), np.std(B, ddof=1)])
    differences = np.array(B) - np.array(A)
    # As for Student's t with 4 degrees of freedom.
    level = 2 * stats.norm.cdf(np.sqrt(5 / 4) * stats.t.ppf(0.975, 4)) - 1
    expected = stats.bootstrap((differences,), np.mean, confidence_level=level, rng=1).confidence_interval
    row = by_label["erased"]
    assert (row["final_difference_against"], row["final_difference_paired"]) == ("simple", "True")
    assert float(row["final_difference_mean"]) == pytest.approx(differences.mean())
    assert float(row["final_difference_low"]) == pytest.approx(expected.low, abs=2.5e-3)
    assert float(row["final_difference_high"]) == pytest.approx(expected.high, abs=2.5e-3)
    assert float(row["final_difference_p"]) == pytest.approx(stats.ttest_rel(B, A).pvalue)
    assert float(row["final_difference_share_higher"]) == 1
    answer = "erased is better than simple over 5 seeds: test accuracy of the final model 0.934 against 0.904."
    assert summary["conclusions"][0] == answer
    assert any(text.endswith("higher in 5 of 5 seeds: better.") for text in summary["conclusions"])
    assert "not distinguishable at n = 5" in summary["conclusions"][3]
    runs = rows_of(folder / "runs.csv")
    assert [float(run["final_test_accuracy"]) for run in runs] == [*A, *B]


@pytest.mark.rendered
def test_everything_is_left_and_said_in_the_report() -> None:
    write_sweep("sweep", {"simple": A, "erased": B, "both": B[::-1]})
    write_run("died", name="died", hidden=9, state="running", summary={"final": None})
    folder, summary = written(compared("sweep", "died"))
    names = {
        "table.md",
        "table.csv",
        "differences.csv",
        "runs.csv",
        "report.md",
        "report.html",
        "summary.json",
        "environment.json",
    }
    assert names <= {path.name for path in folder.iterdir()}
    assert {path.name for path in (folder / "plots").iterdir()} == {
        "curves.png", "curves.svg", "values.png", "values.svg",
    }  # fmt: skip
    report = (folder / "report.md").read_text()
    for text in (
        "higher in 5 of 5 seeds: better.",
        "died has not finished (died at epoch 40)",
        "| hidden | 1 | 2 | 3 | 9 |",
        "| seeds | 0 to 4 | 0 to 4 | 0 to 4 | 0 |",
        "The test rows also chose the saved epoch",
        "4 differences are tested",
        "The seeds share their test rows",
    ):
        assert text in report, text
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert [thing["label"] for thing in summary["things"]] == ["simple", "erased", "both", "died (died)"]
    assert rows_of(folder / "differences.csv")[0] == {
        "setting": "hidden", "simple": "1", "erased": "2", "both": "3", "died (died)": "9",
    }  # fmt: skip


def test_seeds_that_do_not_match_are_compared_without_pairs() -> None:
    for seed in range(4):
        write_run(f"a{seed}", seed=seed, patience=5, accuracy=A[seed], name="a")
        write_run(f"b{seed}", seed=10 + seed, patience=6, accuracy=B[seed], name="b")
    comparison = compared("a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3").comparisons[0]
    assert comparison.difference is not None
    assert comparison.difference.p == pytest.approx(stats.ttest_ind(B[:4], A[:4], equal_var=False).pvalue)
    assert "unpaired, because the seeds differ" in comparison.sentence


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (range(5), range(5), ("paired", 5, "")),
        (range(5), range(2, 9), ("paired", 3, " (6 runs have no partner of the same seed.)")),
        (range(5), range(4, 9), ("unpaired", 5, "")),
        (range(1), range(5), ("paired", 1, " (4 runs have no partner of the same seed.)")),
        (range(2), range(1), ("paired", 1, " (1 run has no partner of the same seed.)")),
        (range(1), range(1, 6), ("unpaired", 1, "")),
    ],
)
def test_pairs_are_taken_where_enough_seeds_match(ours: range, theirs: range, expected: tuple[str, int, str]) -> None:
    outcome_difference, note = difference_of({seed: seed / 10 for seed in ours}, dict.fromkeys(theirs, 0.5))
    kind = "paired" if outcome_difference.paired else "unpaired"
    assert (kind, outcome_difference.n, note) == expected


def test_runs_that_ended_without_a_number_are_left_out_and_counted() -> None:
    files = []
    for name, loss in (("a", 0.5), ("b", 0.6)):
        Path(name).mkdir()
        for seed in range(5):
            value = loss + seed / 100 * (1 if name == "a" else 2)
            last = math.nan if (name, seed) in {("a", 0), ("b", 3), ("b", 4)} else value
            files.append(f"{name}/seed{seed}.csv")
            Path(files[-1]).write_text(f"epoch,val_loss\n1,{value}\n2,{last}\n")
    results = compared(*files, metric="val_loss")
    last, best = (comparison.sentence for comparison in results.comparisons)
    assert "(2 runs of b have no val_loss of the last epoch and are left out.)" in last
    assert "(1 run of a has no val_loss of the last epoch and is left out.)" in last
    assert "partner" not in last
    # Whether files of other programs share their rows is not known: they may be folds.
    for file in files:
        Path(file).write_text(Path(file).read_text().replace("val_loss", "test_loss"))
    assert not any("share their test rows" in note for note in compared(*files, metric="test_loss").notes())
    assert "left out" not in best


def test_an_answer_over_pairs_is_of_these_seeds_alone() -> None:
    for seed in range(5):
        write_run(f"a{seed}", seed=seed, patience=5, accuracy=0.5 if seed < 2 else 0.95 + seed / 1000, name="a")
        write_run(f"b{seed}", seed=2 + seed, patience=6, accuracy=0.9 + seed / 900, name="b")
    results = compared(*(f"{arm}{seed}" for arm in "ab" for seed in range(5)))
    answer = results.comparisons[0].answer(results.measure)
    assert "over 3 seeds" in answer
    # Seeds 2, 3 and 4, of which b has the first three.
    assert all(value in answer for value in ("0.953", "0.901"))


def test_one_seed_alone_distinguishes_nothing() -> None:
    write_run("a", patience=5)
    write_run("b", patience=6, accuracy=0.99)
    results = compared("a", "b")
    assert "not distinguishable at n = 1: fewer than 3 seeds" in results.comparisons[0].sentence
    assert not any("share their test rows" in note for note in results.notes())


def test_the_accuracy_of_one_run_is_as_sure_as_its_rows_make_it() -> None:
    write_run("a", patience=5, accuracy=63 / 70)
    write_run("b", patience=6, accuracy=1.0)
    results = compared("a", "b")
    expected = stats.binomtest(63, 70).proportion_ci(method="wilson")
    assert tables_of(results)[0].rows[0][-1] == f"{expected.low:.3f} to {expected.high:.3f} (70 rows)"
    assert any("does not describe other seeds" in note for note in results.notes())
    assert output_of(results).summary["things"][0]["counted_on_rows"]["final"]["right"] == 63


def test_no_difference_is_claimed_across_different_test_rows() -> None:
    write_run("a", patience=5)
    write_run("b", patience=5, data_seed=3)
    write_run("c", command="cifar-resnet", dataset="digits")
    results = compared("a", "b", "c")
    assert [comparison.difference for comparison in results.comparisons] == [None] * 4
    assert "different test rows (data_seed 1 and 3): no claim" in results.comparisons[0].sentence
    assert results.warnings[0].startswith("these are different experiments (moons, cifar-resnet)")
    # What training took is another matter.
    assert all(comparison.difference for comparison in compared("a", "b", metric="epochs").comparisons)


@pytest.mark.parametrize(
    ("metric", "final", "other"),
    [
        ("test_loss", 0.25, 0.3),
        ("train_accuracy", 1.0, 0.98),
        ("epochs", 40, None),
        ("rows", 1200, None),
        ("train_seconds", 0.4, None),
        ("val_loss", math.exp(-40 / 50) + 0.1, math.exp(-40 / 50) + 0.1),
        ("val_accuracy", 0.9, 0.9),
    ],
)
def test_any_value_can_be_compared(metric: str, final: float, other: float | None) -> None:
    write_run("a", patience=5)
    write_run("b", patience=6)
    measure = compared("a", "b", metric=metric).measure
    outcome = compared("a", "b", metric=metric).arms[0].runs[0]
    values = [outcome.value(view.value) for view in measure.views]
    assert values == pytest.approx([final] if other is None else [final, other], rel=1e-4)


def test_the_time_of_what_has_not_finished_is_no_multiple_and_none_is_one_of_it() -> None:
    write_run("paused", patience=5, state="paused", epochs=20)
    write_run("a", patience=6)
    write_run("b", patience=7)
    for base, multiples in (("paused", ["–", "–", "–"]), ("a", ["–", "1.00", "1.00"])):
        cost = tables_of(compared("paused", "a", "b", baseline=base if base == "a" else ""))[3]
        assert [row[-1] for row in cost.rows] == multiples


def test_times_are_multiples_of_those_of_the_same_seed_with_their_spread() -> None:
    for seed, epochs in enumerate((200, 400)):
        write_run(f"slow/{seed}", seed=seed, epochs=epochs, patience=5)
        write_run(f"fast/{seed}", seed=seed, epochs=100, patience=6)
    write_run("other", seed=2, epochs=600, patience=7)
    cost = tables_of(compared("fast/0", "fast/1", "slow/0", "slow/1", "other"))[3]
    assert [row[-1] for row in cost.rows] == ["1.00", "3.00 ± 1.41", "6.00 (means)"]


def test_seeds_are_a_difference_only_where_they_differ() -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 7)):
        write_run(name, seed=seed, patience=len(name) + ord(name))
    unchanged, other = compared("a", "b"), compared("a", "b", "c")
    assert [row[0] for row in tables_of(unchanged)[2].rows] == ["patience"]
    assert rows_of(written(unchanged)[0] / "differences.csv") == [{"setting": "patience", "a": "98", "b": "99"}]
    assert [row[0] for row in tables_of(other)[2].rows] == ["patience", "seeds"]


def test_p_values_are_shown_as_precise_as_they_are() -> None:
    write_sweep("sweep", {"a": [0.5 + i / 1000 for i in range(20)], "b": [0.9 + i / 999 for i in range(20)]})
    results = compared("sweep")
    assert [row[5] for row in tables_of(results)[1].rows] == ["< 0.001", "1"]
    (outcome_difference, _) = (comparison.difference for comparison in results.comparisons)
    assert outcome_difference is not None
    assert outcome_difference.p is not None
    # Files for those who go on elsewhere keep the number.
    assert float(rows_of(written(results)[0] / "table.csv")[1]["final_difference_p"]) == outcome_difference.p < 1e-6


def test_a_value_that_no_run_has_is_refused() -> None:
    write_run("a", patience=5)
    write_run("b", patience=6)
    for metric in ("foo", "epoch", "f1"):
        with pytest.raises(ConfigError, match=f"metric: received '{metric}', expected a value that the runs have: "):
            compared("a", "b", metric=metric)


@pytest.mark.rendered
def test_what_all_have_recorded_is_overlaid_and_the_rest_told() -> None:
    without = {name: values for name, values in falling_curves(20, 0.9).items() if not name.startswith("val_")}
    diverged = falling_curves(30, 0.9)
    diverged["loss"][-3:] = [1e9, math.inf, math.nan]
    write_run("a", patience=5, name="$a_b$")
    write_run("b", patience=6, columns=without, name="_b")
    write_run("c", patience=7, columns=diverged)
    folder, _ = written(compared("a", "b", "c"))
    report = (folder / "report.md").read_text()
    assert "Not all runs recorded val_accuracy, val_loss; only what all of them recorded is overlaid." in report
    assert (folder / "plots" / "curves.png").stat().st_size > 10_000
    assert "training loss" in (folder / "plots" / "curves.svg").read_text()


def test_a_value_stands_in_the_row_of_its_run_also_where_another_has_none() -> None:
    write_run("a", patience=5, saved=0.95)
    write_run("b", patience=6, saved=None)
    write_run("c", patience=7, saved=0.5)
    results = compared("a", "b", "c")
    final, saved = figures_of(results, curves_of(results.arms, results.measure))["values"]().axes
    assert [label.get_text() for label in final.get_yticklabels()] == ["a", "b", "c"]
    # A point for each run, and one for its mean.
    heights = {round(float(x), 3): round(float(y)) for dots in saved.collections for x, y in dots.get_offsets()}
    assert heights == {0.95: 0, 0.5: 2}


def test_an_arm_has_the_same_colour_in_both_figures_also_where_another_has_no_curves() -> None:
    from matplotlib.colors import to_hex

    write_run("a", patience=5, columns={})
    write_run("b", patience=6, accuracy=0.5)
    write_run("c", patience=7, accuracy=0.7)
    results = compared("a", "b", "c")
    figures = figures_of(results, curves_of(results.arms, results.measure))
    legend = figures["curves"]().legends[0].legend_handles
    lines = {str(line.get_label()): to_hex(line.get_color()) for line in legend[:2]}
    values = figures["values"]().axes[0].collections
    dots = {round(float(x), 3): to_hex(dots.get_facecolor()[0]) for dots in values for x, _ in dots.get_offsets()}
    assert [*lines.values()] == [dots[0.5], dots[0.7]]
    assert lines.keys() == {"b", "c"}


@pytest.mark.rendered
def test_a_run_that_was_left_before_its_first_epoch_ended_has_no_curves() -> None:
    write_run("a", patience=5)
    nothing = {name: [] for name in falling_curves(1, 0.9)}
    write_run("b", patience=6, state="interrupted", epochs=0, columns=nothing)
    results = compared("a", "b")
    assert "b has no curves: it has no complete epoch" in results.warnings
    folder, _ = written(results)
    assert (folder / "plots" / "curves.png").is_file()


def test_many_runs_are_summed_up() -> None:
    names = [str(write_run(f"r{i}", patience=i, epochs=5, accuracy=0.5 + i / 200)) for i in range(40)]
    results = compared(*names)
    assert len(results.comparisons) == 78
    assert results.conclusions() == ()
    assert [text[:60] for text in results.answers()] == [
        "test accuracy of the final model of 39 against r0: 39 not di",
        "test accuracy of the saved model of 39 against r0: 39 not di",
    ]
    folder, _ = written(results)
    assert "The figures show the first 14 of 40." in (folder / "report.md").read_text()
    assert tables_of(results)[2].columns == ("", "patience")
    assert len(rows_of(folder / "runs.csv")) == 40
