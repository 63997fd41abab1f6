"""Reports of runs in which another metric than accuracy counts, and of which little else is on record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from summaries import run_summary
from written_runs import RMSE, UNKNOWN, write_recorded_run

from stopcli.analysis.sweep import SweepResults, seed_results
from stopcli.configs.moons import MoonsConfig
from stopcli.configs.training import TrainingConfig
from stopcli.report.curves import Marks, error_curves, learning_curves, seed_curves
from stopcli.report.document import Table, to_markdown
from stopcli.report.drawing import draw
from stopcli.report.next_steps import next_steps
from stopcli.report.run_report import (
    note_on_test_rows,
    outcome,
    selection_sentence,
    selection_table,
    training_report,
    why_stopped,
)
from stopcli.report.run_results import run_table
from stopcli.runner.report import recorded_figures, report_again
from stopcli.runs.headline import Headline
from stopcli.runs.run import Run
from stopcli.runs.summary import ChosenEpoch, ModelValues, RunSummary, Selection, parse_summary
from stopcli.runs.typed_json import to_json
from stopcli.stats.intervals import compare_selection
from stopcli.stopping import BestEpoch

DEGREES = Headline("rmse", "min", "error", "°C")
AUC = Headline("auc", "max", "score")
T = np.arange(1.0, 121.0)
# Lowest at epoch 80, where it is 2.0 °C.
RISING_AGAIN = {"rmse": 4 * np.exp(-T / 20) + 1, "val_rmse": 2 + np.abs(T - 80) / 100}


def summary_of(run: Path) -> RunSummary:
    read = Run.read(run)
    assert read.results is not None, read.damage
    return read.results


def drawn_texts(run: Path) -> str:
    """Every text of the learning curves."""
    svg = (run / "plots" / "curves.svg").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_a_regression_recorded_with_rmse_alone_has_a_full_report(tmp_path: Path) -> None:
    run = write_recorded_run(tmp_path / "run", RISING_AGAIN)
    drawn = draw(lambda: recorded_figures(summary_of(run), Run.read(run).metrics, "lstm"), run)
    assert not drawn.warnings
    report_again(run)
    text = (run / "report.md").read_text(encoding="utf-8")
    for part in (
        "The lowest validation RMSE is 2.000 °C, at epoch 80.",
        "Stopped at epoch 120 of 400: no improvement since epoch 80 (val_rmse patience=20); the best val_rmse, "
        "2.000 °C, was at epoch 80.",
        "| arm | stopped at | train RMSE (°C) | validation RMSE (°C) | best epoch | its train RMSE (°C) | "
        "its val. RMSE (°C) |",
        "| lstm | 120 | 1.010 | 2.400 | 80 | 1.073 | 2.000 |",
        "stopcli replay",
        "--monitor val_rmse",
    ):
        assert part in text
    # Nothing of what stopcli measures of its own runs, and no command that trains it again.
    for missing in ("accuracy", "acc.", "–", "| |", "Rows:", "None", "Scale", "test", "resume", "stopcli run", "0.000"):
        assert missing not in text, missing
    texts = drawn_texts(run)
    assert "RMSE (°C)" in texts
    assert "epoch 80: best val_rmse" in texts
    assert "loss" not in texts
    assert "accuracy" not in texts
    assert outcome(summary_of(run))[1:] == (
        ("Last epoch", "epoch 120; train RMSE 1.010 °C; validation RMSE 2.400 °C"),
        ("Best epoch", "epoch 80, chosen by val_rmse; train RMSE 1.073 °C; validation RMSE 2.000 °C"),
    )


def test_a_score_is_the_highest_and_stands_beside_the_loss(tmp_path: Path) -> None:
    score = {"name": "auc", "direction": "max", "kind": "score", "unit": ""}
    columns = {"loss": 1 / T, "val_loss": 1 / T, "val_auc": 0.9 - np.abs(T - 80) / 1000}
    run = write_recorded_run(tmp_path / "run", columns, score)
    draw(lambda: recorded_figures(summary_of(run), Run.read(run).metrics, "lstm"), run)
    report_again(run)
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "The highest validation AUC is 0.900, at epoch 80." in text
    # It was never measured on the rows that train.
    assert "| arm | stopped at | validation AUC | best epoch | its val. AUC |" in text
    texts = drawn_texts(run).splitlines()
    assert {"loss", "AUC"} <= set(texts)


def test_a_run_that_died_shows_the_curves_of_its_metric(tmp_path: Path) -> None:
    run = write_recorded_run(tmp_path / "run", RISING_AGAIN, final=None)
    columns = dict(Run.read(run).metrics)
    assert Run.read(run).summary is None
    (run / "status.json").write_text('{"state": "running", "epoch": 120}')
    report_again(run)
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "| epoch | rmse | val_rmse |" in text
    assert "resume" not in text
    assert f"stopcli replay {run} --monitor val_rmse" in text
    assert len(columns["epoch"]) == 120


def test_what_is_said_of_a_recorded_run_follows_what_is_known_of_it() -> None:
    recorded = {**UNKNOWN, "command": "recorded", "headline": RMSE, "best": None, "monitor": "val_rmse"}
    final = {"epoch": 120, "train": {"rmse": 1.5}}
    stop = {"reason": "completed", "rule": "", "epoch": 120}
    ended = run_summary(**{**recorded, "final": final, "stop": stop, "max_epochs": None})
    assert why_stopped(ended) == "Ended after epoch 120; no rule stopped it."
    assert ended.report is not None
    text = to_markdown(training_report(ended, ended.report, {}, ""))
    assert "At the last epoch, 120, the train RMSE is 1.500 °C." in text
    assert run_table(ended, "lstm").rows == (("lstm", "120", "1.500"),)
    assert [label for label, _ in outcome(ended)] == ["Training", "Last epoch"]
    # A loop that ended on its own before the end that was planned, and one that reached it.
    early = run_summary(**{**recorded, "final": final, "stop": stop, "max_epochs": 200})
    assert why_stopped(early) == "Ended after epoch 120 of 200; no rule stopped it."
    whole = run_summary(**{**recorded, "final": final, "stop": stop, "max_epochs": 120})
    assert why_stopped(whole) == "Ran all 120 epochs; no rule stopped it."
    interrupted = {**recorded, "final": final, "stop": {**stop, "reason": "interrupted", "rule": "Ctrl-C"}}
    assert why_stopped(run_summary(**interrupted)).endswith("by Ctrl-C; everything until then is on record.")
    # There is no best epoch to look for, and it cannot be resumed.
    assert next_steps(Path("run"), "interrupted", run_summary(**interrupted)) == ()


def test_a_model_is_told_of_by_the_rows_that_say_most() -> None:
    everywhere = ModelValues(epoch=3, train={"rmse": 1.0}, val={"rmse": 2.0}, test={"rmse": 3.0})
    assert everywhere.best_known(DEGREES) == ("test", 3.0)
    assert ModelValues(epoch=3, train={"rmse": 1.0}, val={"rmse": 2.0}).best_known(DEGREES) == ("val", 2.0)
    assert ModelValues(epoch=3, train={"rmse": 1.0}).best_known(DEGREES) == ("train", 1.0)
    assert ModelValues(epoch=3, train={"loss": 1.0}).best_known(DEGREES) is None


def regression(**changes: Any) -> RunSummary:
    """Of a regression that stopcli trained, with rows that test."""
    part = {"loss": 4.0, "rmse": 2.0}
    content = {
        "headline": RMSE, "monitor": "val_loss", "final": {"epoch": 120, "train": part, "test": {"rmse": 2.5}},
        "best": {"monitor": "val_rmse", "epoch": 90, "value": 2.25, "train": part, "test": {"rmse": 2.25}}, **changes,
    }  # fmt: skip
    return run_summary(**content)


def test_a_regression_has_no_interval_but_the_one_that_was_measured() -> None:
    assert run_table(regression(), "mlp").rows == (("mlp", "120", "120", "2.000", "2.500", "90", "2.000", "2.250"),)
    interval = {"final": {"low": 2.25, "high": 2.75, "rows": 70}, "best": {"low": 2.0, "high": 2.5, "rows": 70}}
    measured = regression(test_interval=interval)
    assert run_table(measured, "mlp").rows[0][-1] == "2.250 [2.000, 2.500]"
    assert parse_summary(to_json(measured)) == measured
    assert measured.report is not None
    text = to_markdown(training_report(measured, measured.report, {}, ""))
    assert "The saved model, of epoch 90, chosen by val_rmse, has a test RMSE of 2.250 °C (95 % interval 2.000" in text
    assert "In brackets is the 95 % interval over the test rows" in text
    assert "Correct test rows" not in text
    assert "the best val_loss, 0.2345, was at epoch 100" in text
    # Where the test rows chose, an error comes out too low.
    assert note_on_test_rows(DEGREES) in text
    assert "its test RMSE is too low" in note_on_test_rows(DEGREES)
    assert "its test AUC is too high" in note_on_test_rows(AUC)


def seeds_of(*errors: float) -> SweepResults:
    from job_results import job_result

    from stopcli.sweeps.plan import Job

    jobs = [Job(f"mlp-seed{seed}", "mlp", MoonsConfig(seed=seed)) for seed in range(len(errors))]
    saved = {"monitor": "val_rmse", "epoch": 90, "value": 2.0, "train": {"rmse": 2.0}}
    summaries = [
        regression(seed=seed, best={**saved, "test": {"rmse": error}}, epochs=100 + seed)
        for seed, error in enumerate(errors)
    ]
    results = [job_result(job, "finished", summary=summary) for job, summary in zip(jobs, summaries, strict=True)]
    return seed_results(MoonsConfig(seeds=len(errors)), results)


def test_seeds_have_the_mean_of_their_metric_with_its_interval() -> None:
    results = seeds_of(2.0, 2.1, 2.2, 2.3)
    table = results.tables[0]
    assert table.columns[-1] == "its test RMSE (°C)"
    assert [row[-1] for row in table.rows[:5]] == ["2.000", "2.100", "2.200", "2.300", "2.150"]
    low, high = map(float, table.rows[-1][-1].split(" to "))
    assert 2.0 <= low < 2.15 < high <= 2.3
    (answer,) = results.conclusions
    assert answer.startswith("Mean test RMSE of the saved model over 4 seeds: 2.150 °C (95 % interval 2.0")
    spread = results.summary["over_seeds"]["saved_test_rmse"]
    assert (spread["n"], spread["min"], spread["max"]) == (4, 2.0, 2.3)
    header = results.files["table.csv"].splitlines()[0]
    assert header == (
        "seed,state,reason,stopped_at,final_epoch,train_rmse,test_rmse,saved_epoch,saved_train_rmse,saved_test_rmse"
    )
    assert not any("acc" in text for text in (*table.columns, *results.conclusions, *results.files.values()))


def test_policies_of_a_regression_are_compared_by_the_lower_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from job_results import cells, job_result

    from stopcli.cli.live import _jobs_lines
    from stopcli.configs.base import resolve
    from stopcli.configs.clr import ClrConfig
    from stopcli.recipes.clr import Clr
    from stopcli.sweeps.plan import plan_jobs

    monkeypatch.setattr(TrainingConfig, "headline", DEGREES)
    settings = {"dataset": "digits", "seeds": 4, "scale": "quick", "checkpoint_monitor": "val_rmse"}
    config = resolve(ClrConfig, settings)
    jobs = plan_jobs(config)
    errors = [3.0 - (job.arm != "constant") * (1 + job.config.seed / 50) for job in jobs]
    results = [
        job_result(job, "finished", summary=regression(
            seed=job.config.seed, final={"epoch": 9, "test": {"rmse": error}, "val": {"rmse": error}},
            best={"epoch": 8, "test": {"rmse": error}},
        ))
        for job, error in zip(jobs, errors, strict=True)
    ]  # fmt: skip
    answer, first, *_ = Clr().sweep_results(config, results).conclusions
    assert answer == "At n = 4, better than constant: triangular; triangular2; exp_range."
    assert "test RMSE of the" in first
    assert first.endswith(": better.")
    row = next(row for arm, row in cells(config, results).items() if arm != "constant")
    assert row["final test RMSE"].startswith("1.970 ± ")
    assert row["final, against constant"].startswith("−1.030 [")
    few = Clr().sweep_results(config, [result for result in results if result.job.config.seed < 2]).conclusions[0]
    assert "has the lowest test RMSE, " in few
    assert " °C; --seeds 5" in few
    # A value that was not finite is none, of a run that has finished.
    lost = next(result for result in results if result.job.config.seed == 1)
    nothing = {"epoch": 9, "test": {"rmse": None}, "val": {"rmse": None}}
    without = regression(seed=1, final=nothing, best={"epoch": 8, "test": {"rmse": 1.0}})
    results[results.index(lost)] = job_result(lost.job, "finished", summary=without)
    few = Clr().sweep_results(config, [result for result in results if result.job.config.seed < 2]).conclusions[0]
    assert "In seed 0 " in few
    # The view while they train names it too, and not an error of 1 − RMSE.
    view = "\n".join(line.plain for line in _jobs_lines("clr", results, 120, 20))
    assert "RMSE" in view.splitlines()[1]
    assert "1.980" in view


def test_choosing_on_test_rows_claims_a_lower_error() -> None:
    columns = {
        "epoch": np.arange(1.0, 6), "loss": np.ones(5), "val_rmse": np.array([5.0, 3, 2, 3, 4]),
        "test_rmse": np.array([5.0, 4, 3.5, 3, 4]),
    }  # fmt: skip
    selection = compare_selection(columns, BestEpoch("val_rmse"), ("loss", "val_rmse"), DEGREES)
    assert selection is not None
    honest, claimed = selection.honest, selection.claimed
    assert (honest.epoch, honest.test_value, claimed.epoch, claimed.test_value) == (3, 3.5, 4, 3.0)
    assert (honest.test_accuracy, selection.direction) == (None, "min")
    # It is by so much better than it should be.
    assert selection.optimism == 0.5
    assert "test_accuracy" not in to_json(selection)["honest"]
    sentence = selection_sentence(selection, 70, DEGREES)
    assert "epoch 3 has a test RMSE of 3.500 °C" in sentence
    assert "would have claimed 3.000 °C: 0.5000 °C less. One run cannot tell" in sentence
    assert selection_table(selection, DEGREES).rows[-1] == ("difference", "", "−0.5000")
    written = parse_summary(to_json(regression(selection=to_json(selection))))
    assert isinstance(written, RunSummary)
    assert written.selection == selection
    assert Selection(ChosenEpoch("a", 1, 0.1, 0.5), ChosenEpoch("b", 2, 0.1, 0.75)).optimism == 0.25


def test_curves_draw_what_is_on_record_and_nothing_else() -> None:
    metrics = {"epoch": T, **RISING_AGAIN}
    (axes,) = learning_curves(metrics, "validation", Marks(120, "end"), "t", DEGREES, trained_here=False).axes
    assert axes.get_ylabel() == "RMSE (°C)"
    assert [line.get_label() for line in axes.lines] == ["train", "validation", "end"]
    # A loss that counts is drawn once.
    loss = Headline("loss", "min", "error")
    assert len(learning_curves({"epoch": T, "loss": T}, "validation", Marks(120, "end"), "t", loss).axes) == 1
    # Without rows that validate, those that test are shown.
    tested = {"epoch": T, "rmse": T, "test_rmse": T}
    (axes,) = learning_curves(tested, "validation", Marks(120, "end"), "t", DEGREES, trained_here=False).axes
    assert [line.get_label() for line in axes.lines[:2]] == ["train", "test"]
    (axes,) = seed_curves([metrics, metrics], "validation", [120, 120], "t", DEGREES).axes
    assert axes.get_ylabel() == "RMSE (°C)"


def test_a_loop_that_seldom_validates_has_a_whole_curve() -> None:
    epochs = np.arange(1.0, 100_001)
    seldom = np.full(100_000, np.nan)
    seldom[9::10] = 3.0
    metrics = {"epoch": epochs, "rmse": epochs, "val_rmse": seldom}
    (axes,) = learning_curves(metrics, "validation", Marks(100_000, "end"), "t", DEGREES).axes
    assert 2000 < len(axes.lines[1].get_ydata()) <= 4000  # type: ignore[arg-type]
    assert np.isfinite(axes.lines[1].get_ydata()).all()  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("headline", "label", "drawn"),
    [(DEGREES, "RMSE (°C)", 0.25), (AUC, "AUC", 0.25), (Headline("acc", "max", "proportion"), "error (1 − acc)", 0.75)],
)
def test_errors_are_drawn_as_they_are_and_shares_by_what_is_left_of_them(
    headline: Headline, label: str, drawn: float
) -> None:
    quarter = np.full(120, 0.25)
    metrics = {"epoch": T, "loss": T, "learning_rate": T, headline.name: quarter, headline.column("val"): quarter}
    axes = error_curves(metrics, "test", Marks(120, "end"), "t", headline=headline).axes[0]
    assert axes.get_ylabel() == label
    assert set(axes.lines[0].get_ydata()) == {drawn}  # type: ignore[arg-type]


def test_a_table_of_another_metric_knows_what_it_is_read_for() -> None:
    table = run_table(regression(), "mlp")
    assert [table.columns[i] for i in table.key_columns] == [
        "arm", "test RMSE (°C)", "saved epoch", "its test RMSE (°C)",
    ]  # fmt: skip
    assert isinstance(table, Table)
