"""What a replay of runs says and leaves, and what it says of runs that cannot be replayed as they are."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from written_runs import write_run, write_sweep

from stopcli.analysis.replay import DEFAULT_PATIENCE, DEFAULT_RULES, ReplayOptions, ReplayResults, replay
from stopcli.analysis.replay_report import output_of
from stopcli.errors import RequestError
from stopcli.report.html import write_output
from stopcli.runs.typed_json import to_json

# As many as the settings of a written run ask for.
EPOCHS = 400
PATIENCE_3 = ReplayOptions(patience=(3,))


def valley(lowest: int, *, held_out: bool = False, epochs: int = EPOCHS) -> dict[str, Any]:
    """Columns of a run whose validation loss is lowest at an epoch."""
    t = np.arange(1, epochs + 1, dtype=float)
    loss = 0.2 + np.abs(t - lowest) / 1000
    columns = {"epoch": t, "step": t, "loss": 1 / t, "accuracy": 1 - 1 / t, "val_loss": loss, "val_accuracy": 1 - loss}
    return columns | ({"test_loss": loss, "test_accuracy": 0.9 - loss} if held_out else {})


def write(path: str, lowest: int = 20, **options: Any) -> Path:
    return write_run(path, columns=valley(lowest), epochs=EPOCHS, **options)


def replayed(*paths: str, options: ReplayOptions = PATIENCE_3) -> ReplayResults:
    return replay([Path(path) for path in paths], options)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.rendered
def test_seeds_are_summed_up_and_left_in_full_precision() -> None:
    lowest = [10, 14, 15, 19]
    for seed, epoch in enumerate(lowest):
        write(f"run-{seed}", epoch, seed=seed)
    results = replayed("run-0", "run-1", "run-2", "run-3", options=ReplayOptions(patience=(3, 395), rules=("gl:1000",)))
    assert results.warnings == ()
    folder, written = write_output(output_of(results), root=Path("runs"))
    summary = to_json(written)
    first, *_, never = rows_of(folder / "table.csv")
    stops = np.array(lowest) + 3
    assert float(first["epochs_mean"]) == stops.mean()
    assert float(first["epochs_sd"]) == pytest.approx(stops.std(ddof=1))
    level = 2 * stats.norm.cdf(np.sqrt(4 / 3) * stats.t.ppf(0.975, 3)) - 1
    expected = stats.bootstrap((stops,), np.mean, confidence_level=level, rng=0).confidence_interval
    assert [float(first["epochs_low"]), float(first["epochs_high"])] == pytest.approx([expected.low, expected.high])
    assert (never["never"], never["epochs_mean"], never["share_saved_mean"]) == ("4", "400.0", "0.0")
    runs = rows_of(folder / "replay.csv")
    assert [row["ended"] for row in runs] == ["patience"] * 4 + ["completed"] * 8
    assert [int(row["kept_epoch"]) for row in runs[:4]] == lowest
    assert [float(row["regret"]) for row in runs] == [0.0] * 12
    # As float32, which metrics.csv holds.
    assert float(runs[0]["stop_accuracy"]) == float(np.float32(0.797))
    assert summary["experiments"][0]["rules"][0]["stops"] == stops.tolist()
    assert any("patience:395, gl:1000 in 4 of 4 runs" in sentence for sentence in summary["conclusions"])
    cheapest = "of the best epoch of all stops after 18 epochs on average (4.4 % of all). patience:3 against the best"
    assert any(cheapest in sentence for sentence in summary["conclusions"])
    report = (folder / "report.md").read_text()
    assert "The test rows also chose the saved epoch" in report
    assert "moons run-0, 4 runs" in report
    assert {path.name for path in (folder / "plots").iterdir()} == {"frontier.png", "frontier.svg"}


def test_without_flags_prechelt_s_grid_and_patiences_are_replayed() -> None:
    write("run")
    (experiment,) = replayed("run", options=ReplayOptions()).experiments
    labels = [rule.label for rule in experiment.rules]
    assert labels == [*(f"patience:{p}" for p in DEFAULT_PATIENCE), *DEFAULT_RULES]
    families = {rule.rule.keyword for rule in experiment.rules}
    assert families == {"patience", "gl", "pq", "up"}


def test_each_rule_is_replayed_once_and_every_patience_with_every_min_delta() -> None:
    write("run")
    options = ReplayOptions(patience=(3, 3, 5), min_delta=(0.0, 0.0025), rules=("patience:5", "threshold:0.2055"))
    (experiment,) = replayed("run", options=options).experiments
    stops = {rule.label: rule.runs[0].epoch for rule in experiment.rules}
    # Every third epoch is an improvement by more than 0.0025: the last of them is 19.
    assert stops == {
        "patience:3": 23, "patience:5": 25, "patience:3 δ=0.0025": 22, "patience:5 δ=0.0025": 24,
        "threshold:0.2055": 15,
    }  # fmt: skip


@pytest.mark.rendered
def test_several_experiments_have_a_table_and_a_figure_each() -> None:
    write_sweep("sweep", {"a": [0.8, 0.9], "b": [0.7]})
    write_run("held", columns=valley(12, held_out=True), epochs=EPOCHS, validation="holdout", hidden=77)
    results = replayed("sweep", "held")
    assert [experiment.n for experiment in results.experiments] == [2, 1, 1]
    folder, written = write_output(output_of(results), root=Path("runs"))
    summary = to_json(written)
    assert [content["accuracy"] for content in summary["experiments"]] == [
        "val_accuracy",
        "val_accuracy",
        "test_accuracy",
    ]
    assert summary["table"]["columns"][0] == "runs"
    names = {path.stem for path in (folder / "plots").iterdir()}
    assert names == {"frontier", "frontier_2", "frontier_3"}
    assert all(sentence.startswith("moons ") for sentence in summary["conclusions"])


def test_what_is_wrong_with_runs_is_told_and_the_others_are_replayed() -> None:
    write("whole")
    write_run("died", columns=valley(20, epochs=12), epochs=12, seed=1, state="interrupted")
    write_run("cut", columns=valley(20, epochs=25), epochs=25, patience=5, hidden=5)
    broken = valley(20, epochs=15)
    broken["loss"][-1] = math.nan
    write_run("broken", columns=broken, state="failed", hidden=6)
    write_run("empty", columns={name: [] for name in valley(20)}, state="interrupted", hidden=7)
    write_run("no-metrics", columns={}, state="failed", hidden=8)
    write_run("range", columns={}, command="lr-range")
    write("twin")
    names = ("whole", "whole", "died", "cut", "broken", "empty", "no-metrics", "range", "twin")
    results = replayed(*names, options=ReplayOptions(patience=(4, 30)))
    assert [experiment.n for experiment in results.experiments] == [2, 1, 1]
    warnings = "\n".join(results.warnings)
    for sentence in (
        "left out: empty: no epoch on record (interrupted)",
        "left out: no-metrics: no epoch on record (failed)",
        "left out: range: a range test",
        "left out: twin: the same settings and seed as another",
        "not finished (interrupted, failed), and replayed as far as recorded: died, broken",
        "stopped on a metric that is not finite, as under any rule: broken",
        "may not be on record: cut",
    ):
        assert sentence in warnings
    output = output_of(results)
    assert "died,1,interrupted,12,beyond_recording" in output.files["replay.csv"]
    assert "broken,0,failed,15,non_finite" in output.files["replay.csv"]
    (cut,) = [row for row in output.table.rows if "cut" in row[0] and row[1] == "patience:30"]
    assert "beyond 25" in cut
    assert any("the stop lies beyond what is on record" in sentence for sentence in output.conclusions)


def test_nothing_is_concluded_from_rules_after_which_no_epoch_is_selected() -> None:
    for seed in range(3):
        write(f"run-{seed}", 10 + seed, seed=seed)
    results = replayed("run-0", "run-1", "run-2", options=ReplayOptions(rules=("gl:1", "gl:500"), start_from_epoch=50))
    assert results.warnings == (
        "in some runs no epoch is selected, which the means of best epoch and regret leave out: gl:1",
    )
    output = output_of(replayed("run-0", "run-1", "run-2", options=ReplayOptions(rules=("gl:1",), start_from_epoch=50)))
    assert output.answers == ("No replayed rule that stops keeps the best val_loss of any run.",)
    assert output.conclusions == ()


def write_bumpy(path: str, rise: int, seed: int) -> None:
    """A run whose validation loss falls, is higher for some epochs, and then is lowest."""
    columns = valley(200)
    columns["val_loss"][100 : 100 + rise] = 0.5
    write_run(path, columns=columns, epochs=EPOCHS, seed=seed)


def test_the_answer_is_the_smallest_patience_that_keeps_the_best_epoch_of_every_run() -> None:
    names = []
    for seed, rise in enumerate((7, 12, 3)):
        names.append(f"run-{seed}")
        write_bumpy(names[-1], rise, seed)
    output = output_of(replayed(*names, options=ReplayOptions(patience=(5, 10, 50))))
    # A wait of 12 epochs is borne by a patience of 13; it stops 13 epochs after the best one.
    patience, rule, evidence = output.answers
    assert patience.startswith(
        "Patience 13 is the smallest that keeps the best val_loss in all 3 runs: it stops after 213"
    )
    assert rule.startswith(
        "The cheapest of the replayed rules that keep the best val_loss in all 3 runs: patience:50, "
    )
    assert "in 37 % or more of runs like these" in evidence
    assert "59 runs to show 95 %" in evidence
    keeps = output.summary["experiments"][0]["keeps_best"]
    assert keeps["smallest_patience"] == {
        "rule": "patience:13", "runs_kept": 3, "never": 0, "epochs": 213.0, "share_saved": 1 - 213 / EPOCHS,
    }  # fmt: skip
    assert keeps["smallest_patience"] == keeps["smallest_patience_in_95_percent"]
    assert keeps["cheapest_rule"]["rule"] == "patience:50"
    assert [rule["runs_kept"] for rule in output.summary["experiments"][0]["rules"]] == [1, 2, 3]
    assert "keeps best" in output.table.columns
    report = output.document([]).lead[0]
    assert report.text == patience


@pytest.mark.parametrize(
    ("patience", "answer"),
    [
        (10, "Patience 10 is not enough: it loses the best val_loss in 1 of 2 runs."),
        (13, "Patience 13 is enough: it keeps the best val_loss in all 2 runs."),
    ],
)
def test_whether_a_patience_is_enough_is_answered_first(patience: int, answer: str) -> None:
    write_bumpy("run-0", 7, 0)
    write_bumpy("run-1", 12, 1)
    assert output_of(replayed("run-0", "run-1", options=ReplayOptions(patience=(patience,)))).answers[0] == answer


def test_where_no_patience_stops_and_keeps_the_best_nearly_all_runs_are_asked() -> None:
    names = []
    for seed in range(40):
        names.append(f"run-{seed}")
        write_run(names[-1], columns=valley(20 if seed else EPOCHS), epochs=EPOCHS, seed=seed)
    columns = valley(EPOCHS)
    columns["val_loss"][1:-1] = 0.9
    write_run("last", columns=columns, epochs=EPOCHS, seed=40)
    output = output_of(replayed("last", options=ReplayOptions(patience=(3,))))
    assert output.answers[1].startswith(
        "No patience both keeps the best val_loss of the run and stops it before the end"
    )
    assert "patience 399, the smallest that keeps it, never fires" in output.answers[1]
    output = output_of(replayed(*names, "last", options=ReplayOptions(patience=(3,))))
    assert output.answers[0] == "Patience 3 is not enough: it loses the best val_loss in 1 of 41 runs."
    # 40 of 41 are more than 95 %.
    assert "In 40 of 41 runs (97.6 %), patience 0 is enough: it stops after" in output.answers[1]
    keeps = output.summary["experiments"][0]["keeps_best"]
    assert keeps["smallest_patience"]["never"] == 41
    assert keeps["smallest_patience_in_95_percent"]["runs_kept"] == 40


def test_what_is_asked_in_vain_is_told() -> None:
    write("run", stop_at="cycle-end")
    cycles = "replayed rules may stop at every epoch; in these runs they could stop only at the end of a cycle"
    (warnings,) = replayed("run").warnings
    assert warnings == f"{cycles} (stop_at): run"
    in_vain = ReplayOptions(rules=("gl:2",), min_delta=(0.0, 0.1), baseline=0.5, mode="max")
    contradicts, delta, baseline, _ = replayed("run", options=in_vain).warnings
    assert contradicts.startswith("mode 'max' contradicts the metric 'val_loss'")
    assert [delta, baseline] == [f"{name} has no effect without patience" for name in ("min_delta", "baseline")]
    assert len(replayed("run", options=ReplayOptions(patience=(3,), min_delta=(0.1,), baseline=0.5)).warnings) == 1


def test_a_stop_beyond_the_recording_is_told_of_the_runs_that_it_is_true_of() -> None:
    write("falling", EPOCHS)
    write_run("cut", columns=valley(10, epochs=60), epochs=60, seed=1, state="interrupted")
    options = ReplayOptions(patience=(15,))
    # It stops before the end of the run that was cut short, and not at all in the whole one.
    *_, sentence = output_of(replayed("falling", "cut", options=options)).conclusions
    assert sentence == "Did not stop: patience:15 in 1 of 2 runs. All recorded epochs count as their cost."
    write_run("short", columns=valley(20, epochs=30), epochs=30, seed=2, state="interrupted")
    *_, sentence = output_of(replayed("falling", "cut", "short", options=options)).conclusions
    assert sentence.startswith("Did not stop: patience:15 in 2 of 3 runs.")
    assert sentence.endswith(
        "where 1 of the runs ended before all epochs had run, the stop lies beyond what is on record."
    )


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (
            ReplayOptions(monitor="val_los"),
            "--monitor: received 'val_los', expected a metric that run has recorded: loss, accuracy, val_loss",
        ),
        (ReplayOptions(select="f1"), "--select: received 'f1', expected a metric that run has recorded:"),
        (
            ReplayOptions(select="test_accuracy"),
            "--select: received 'test_accuracy', expected a metric that run has recorded: loss",
        ),
        (ReplayOptions(patience=(-1,)), "patience: received -1, expected a whole number ≥ 0"),
        (ReplayOptions(min_delta=(-0.1,)), "min_delta: received -0.1, expected a finite number ≥ 0"),
        (ReplayOptions(rules=("hunch:2",)), "stop: received 'hunch:2', expected KIND:VALUE"),
        (ReplayOptions(rules=()), "stop: received 'none', expected one rule or more"),
        (
            ReplayOptions(start_from_epoch=400),
            "--start-from-epoch: received 400, expected less than the 400 epochs of run",
        ),
        (ReplayOptions(mode="up"), "mode: received 'up'"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: ReplayOptions, answer: str) -> None:
    write_run("run", columns=valley(20, held_out=True), epochs=EPOCHS)
    with pytest.raises(RequestError) as caught:
        replayed("run", options=options)
    assert answer in caught.value.message


def test_what_holds_no_run_is_passed_over_and_told() -> None:
    write("runs/a")
    Path("runs/study").mkdir()
    Path("runs/study/status.json").write_text("{}")
    results = replayed("runs/a", "runs/study")
    assert [experiment.n for experiment in results.experiments] == [1]
    assert results.warnings[0].startswith("runs/study holds no run")
    with pytest.raises(RequestError, match="runs/study holds no run"):
        replayed("runs/study")


def test_runs_without_what_is_needed_are_refused() -> None:
    trained = {name: values for name, values in valley(20).items() if not name.startswith("val_")}
    write_run("run", columns=trained, epochs=EPOCHS)
    with pytest.raises(RequestError, match="expected a metric that run has recorded: loss, accuracy") as caught:
        replayed("run")
    assert "was not validated" in caught.value.hint
    # Its training loss can be asked.
    (experiment,) = replayed("run", options=ReplayOptions(patience=(3,), monitor="loss")).experiments
    assert experiment.rules[0].values("kept_epoch") == [400]
    assert experiment.headline_column == "accuracy"
    with pytest.raises(RequestError, match="gl:2 needs val_loss"):
        replayed("run", options=ReplayOptions(rules=("gl:2",), monitor="loss"))
    below = valley(20)
    below["val_loss"] = below["val_loss"] - 1
    write_run("below", columns=below, epochs=EPOCHS)
    with pytest.raises(RequestError, match="need losses ≥ 0"):
        replayed("below", options=ReplayOptions(rules=("gl:2",)))
    write_run("range", columns={}, command="lr-range")
    with pytest.raises(RequestError, match="range: a range test"):
        replayed("range")
