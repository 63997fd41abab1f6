"""Runs of a regression, of a score and of several metrics compared and replayed: by the metric that counts in them, in
its direction and unit, and nothing of an accuracy that they do not have."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_runs import regression_columns, write_recorded
from written_runs import write_run

from stopcli.analysis.arms import experiment_of
from stopcli.analysis.compare import CompareResults, compare
from stopcli.analysis.compare_report import curves_of, figures_of, output_of, tables_of
from stopcli.analysis.gate import Requirement, gate_of
from stopcli.analysis.replay import ReplayOptions, replay
from stopcli.analysis.replay_report import output_of as output_of_replay
from stopcli.errors import ConfigError, RequestError
from stopcli.report.html import write_output
from stopcli.report.next_steps import next_steps
from stopcli.runs.headline import Headline
from stopcli.runs.run import Run

RMSE = (2.5, 2.6, 2.4, 2.58)
AUC = {"name": "auc", "direction": "max", "kind": "score", "unit": ""}


def write_arms(unit: str = "°C") -> list[Path]:
    """Two arms of four seeds, the second a tenth better than the first."""
    return [
        write_recorded(f"{arm}{seed}", seed=seed, lowest=20 + seed, rmse=rmse * scale, unit=unit, settings={"units": n})
        for arm, scale, n in (("a", 1.0, 32), ("b", 0.9, 64))
        for seed, rmse in enumerate(RMSE)
    ]


def score_columns(highest: int, auc: float) -> dict[str, Any]:
    columns = regression_columns(highest, 1.0)
    columns["val_auc"] = auc * (1 - (columns.pop("val_rmse") - 1) / 2)
    return columns


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def verdicts(results: CompareResults) -> list[str]:
    return [comparison.verdict(results.measure.better) for comparison in results.comparisons]


@pytest.mark.rendered
def test_arms_of_a_regression_are_compared_by_their_error() -> None:
    results = compare(write_arms())
    assert (results.measure.name, results.measure.better) == ("val_rmse", "min")
    assert verdicts(results) == ["better", "better"]
    assert results.answers()[1] == (
        "b0 is better than a0 over 4 seeds: val_rmse of its best epoch 2.268 against 2.520 °C."
    )
    assert "val_rmse of its best epoch −0.2520 °C (95 % interval −0.2600 to −0.2400;" in results.conclusions()[1]
    table, differences, *_ = tables_of(results)
    assert table.columns == ("", "of", "runs", "epoch", "train loss", "val RMSE (°C)", "95 % interval")
    # Beside the best of val_rmse, at epochs 20 to 23, stands the loss of these epochs: 20 / epoch.
    losses = 20 / np.arange(20, 20 + len(RMSE))
    assert table.rows[1][4] == f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f}"
    assert table.rows[1][5:] == (f"2.520 ± {np.std(RMSE, ddof=1):.3f}", "2.400 to 2.600")
    assert differences.title == "Val RMSE (°C) against a0"
    assert [row[-2:] for row in differences.rows] == [("better", "undecided")] * 2
    folder, summary = write_output(output_of(results), root=Path("runs"))
    assert summary.results["headline"] == {"name": "rmse", "direction": "min", "kind": "error", "unit": "°C"}
    assert "accuracy" not in (folder / "report.md").read_text()
    for name in ("table.csv", "runs.csv"):
        rows = rows_of(folder / name)
        assert not any("accuracy" in column for column in rows[0])
    assert [float(row["best_val_rmse"]) for row in rows[:4]] == pytest.approx(RMSE)
    # Nothing of test rows, nor of the rows that train, is on record.
    assert not any("test" in column or "rows" in column for column in rows[0])
    svg = (folder / "plots" / "curves.svg").read_text()
    assert "validation RMSE (°C)" in svg
    assert "val_rmse of its best epoch (°C)" in (folder / "plots" / "values.svg").read_text()


def test_what_is_not_known_of_foreign_runs_is_no_column_of_dashes() -> None:
    cost = tables_of(compare(write_arms()))[3]
    assert cost.columns == ("", "stopped at epoch", "by", "training", "times a0's")


def test_the_test_rows_come_first_where_all_arms_have_them() -> None:
    for name, shift in (("a", 0.0), ("b", 0.5)):
        columns = regression_columns(20, 2.0)
        columns["test_rmse"] = columns["val_rmse"] + 1 + shift
        write_recorded(name, columns=columns, settings={"units": len(name) + shift})
    results = compare([Path("a"), Path("b")])
    assert results.measure.name == "test_rmse"
    final, saved = results.comparisons
    assert (final.view.name, saved.view.name) == ("final", "best")
    assert (final.view.phrase, saved.view.phrase) == ("test RMSE of the last epoch", "test RMSE of the best epoch")
    assert saved.difference is not None
    assert saved.difference.mean == pytest.approx(0.5)
    # One run each: an error is counted on no rows, and no row is right or wrong.
    assert (saved.on_rows, tables_of(results)[0].rows[0][-1]) == (None, "–")
    assert "not compared" not in saved.sentence
    write_recorded("c", settings={"units": 7})
    assert compare([Path("a"), Path("b"), Path("c")]).measure.name == "val_rmse"


def test_arms_in_which_not_the_same_counts_need_a_metric() -> None:
    write_run("moons")
    write_recorded("rmse")
    with pytest.raises(ConfigError) as caught:
        compare([Path("moons"), Path("rmse")])
    assert "because not the same counts in all: accuracy in moons moons; rmse in recorded rmse" in caught.value.message
    assert "val_loss" in caught.value.message
    results = compare([Path("moons"), Path("rmse")], metric="epochs")
    assert tables_of(results)[0].columns == (
        *("", "of", "runs", "epoch", "train loss", "train accuracy"),
        *("epochs", "95 % interval"),
    )


def test_which_direction_is_better_is_asked_where_no_name_tells() -> None:
    for seed in range(6):
        columns = regression_columns(20, 2.0)
        columns["val_bleu"] = columns["val_rmse"] + (1 + seed / 100) * (seed > 2)
        write_recorded(f"{'ab'[seed > 2]}{seed % 3}", seed=seed % 3, columns=columns, settings={"units": seed > 2})
    paths = sorted(Path().glob("[ab]?"))
    with pytest.raises(
        ConfigError, match="mode: received 'auto', expected 'min' or 'max', because the name 'val_bleu'"
    ):
        compare(paths, metric="val_bleu")
    assert verdicts(compare(paths, metric="val_bleu", mode="max")) == ["better", "better"]
    results = compare(paths, metric="val_bleu", mode="min")
    assert verdicts(results) == ["worse", "worse"]
    assert results.measure.views[1].value == "lowest_val_bleu"
    # Less time is no better until the user says so.
    assert verdicts(compare(paths, metric="epochs")) == ["not distinguishable"]
    assert compare(paths, metric="epochs").measure.better is None
    assert compare(paths, metric="epochs", mode="min").measure.better == "min"
    contrary = compare(paths, metric="val_rmse", mode="max")
    assert contrary.warnings[0].startswith("mode 'max' contradicts the metric 'val_rmse'")


def test_a_score_is_better_where_it_is_higher() -> None:
    for seed in range(4):
        for arm, auc in (("a", 0.8), ("b", 0.85 + seed / 500)):
            columns = score_columns(30, auc + seed / 200)
            write_recorded(f"{arm}{seed}", seed=seed, lowest=30, columns=columns, headline=AUC, settings={"arm": arm})
    results = compare(sorted(Path().glob("[ab]?")))
    assert (results.measure.name, verdicts(results)) == ("val_auc", ["better", "better"])
    assert results.measure.views[1].value == "highest_val_auc"


def test_arms_in_different_units_are_warned_of() -> None:
    write_recorded("a", unit="°C", settings={"units": 1})
    write_recorded("b", unit="°F", settings={"units": 2})
    results = compare([Path("a"), Path("b")])
    assert results.warnings[0] == "val_rmse is in different units: °C, °F"
    assert results.measure.unit == ""


def test_a_run_that_died_without_a_summary_stands_with_its_arm() -> None:
    paths = write_arms()
    (paths[3] / "summary.json").unlink()
    (paths[3] / "status.json").write_text('{"state": "running", "epoch": 60}')
    results = compare(paths)
    assert results.measure.name == "val_rmse"
    assert [len(arm.runs) for arm in results.arms] == [3, 4]
    alone = compare([paths[3], *paths[4:]]).arms[0].runs[0]
    # Of its updates nothing is known.
    assert alone.cost == {"epochs": 60}
    assert (alone.final["val_rmse"], alone.saved["epoch"]) == (pytest.approx(2.58 * 1.37), 23)
    answers = output_of_replay(replay([paths[3]], ReplayOptions(patience=(3,)))).answers
    assert answers[-1] == "One run proves little: another seed may need another patience."


def test_curves_of_an_error_alone_are_drawn() -> None:
    for name in ("a", "b"):
        columns = regression_columns(20, 2.0)
        write_recorded(name, columns={key: columns[key] for key in ("epoch", "step", "val_rmse")}, settings={"s": name})
    results = compare([Path("a"), Path("b")])
    curves = curves_of(results.arms, results.measure)
    assert curves.panels == {"val_rmse": "validation RMSE"}
    figure = figures_of(results, curves)["curves"]()
    assert figure.axes[0].get_ylabel() == "validation RMSE"
    # There is no loss in the table either.
    assert tables_of(results)[0].columns == ("", "of", "runs", "epoch", "val RMSE", "95 % interval")


def test_settings_of_foreign_runs_are_all_that_they_depend_on() -> None:
    # Names of options that are no matter in stopcli's own runs.
    run = Run.read(write_recorded("a", seed=3, settings={"jobs": 2, "scale": 0.5}))
    assert experiment_of(run) == {"command": "recorded", "jobs": 2, "scale": 0.5}


def test_rules_are_replayed_on_a_regression() -> None:
    paths = write_arms()[:4]
    options = ReplayOptions(patience=(3, 50), rules=("gl:2", "threshold:8"))
    results = replay(paths, options)
    output = output_of_replay(results)
    assert output.table.columns[-3:] == ("val_loss", "regret", "val. RMSE (°C)")
    assert output.table.rows[0][-1] == "2.520 [2.400, 2.600]"
    # Stopped on the way down, of an RMSE of 8 ** 0.5.
    early = float(output.table.rows[-1][-1].split()[0])
    assert 2.7 < early < 8**0.5
    (sentence, slow_and_fast, _) = output.conclusions
    assert "The cheapest rule whose validation RMSE is not distinguishably higher than that of the best" in sentence
    assert "gl:2 against the best epoch of all: validation RMSE the same in all 4 seeds" in sentence
    assert f"the validation RMSE of the selected epoch goes from {early:.3f} °C to 2.520 °C: " in slow_and_fast
    assert "% lower. Prechelt" in slow_and_fast
    (experiment,) = output.summary["experiments"]
    assert (experiment["rmse"], experiment["headline"]["unit"]) == ("val_rmse", "°C")
    lost = experiment["rules"][-1]["rmse_lost"]["mean"]
    assert lost == pytest.approx(early - np.mean(RMSE), abs=1e-3)
    assert lost > 0
    folder, _ = write_output(output, root=Path("runs"))
    report = (folder / "report.md").read_text()
    assert "accuracy" not in report
    assert "val_loss and the RMSE beside it are of that epoch" in report
    for name in ("table.csv", "replay.csv"):
        assert not any("accuracy" in column for column in rows_of(folder / name)[0])
    assert float(rows_of(folder / "replay.csv")[0]["kept_rmse"]) == pytest.approx(2.5)
    regret, quality = output.figures()["frontier"]().axes[:2]
    assert (regret.get_ylabel(), quality.get_ylabel()) == (
        "regret in val_loss",
        "validation RMSE of the epoch selected\n(°C)",
    )
    # The line of the best epoch of all.
    assert any(np.allclose(line.get_ydata(), np.mean(RMSE)) for line in quality.lines)


def test_what_counts_is_monitored_where_there_is_no_loss_to_monitor() -> None:
    columns = {name: values for name, values in regression_columns(20, 2.5).items() if name != "val_loss"}
    runs = [write_recorded("rmse", columns=columns), write_recorded("both")]
    options = ReplayOptions(patience=(3,))
    assert [replay([run], options).options.monitor for run in runs] == ["val_rmse", "val_loss"]
    assert replay(runs, options).options.monitor == "val_rmse"
    with pytest.raises(RequestError, match="--monitor: received 'val_loss', expected a metric that rmse has recorded"):
        replay(runs, ReplayOptions(patience=(3,), monitor="val_loss"))


def test_a_regression_and_a_classification_are_replayed_side_by_side() -> None:
    write_recorded("rmse", unit="°C")
    write_run("moons", columns={**regression_columns(20, 2.0), "val_accuracy": np.linspace(0.5, 0.9, 60)})
    output = output_of_replay(replay([Path("rmse"), Path("moons")], ReplayOptions(patience=(3,))))
    assert output.table.columns[-2:] == ("val. RMSE (°C)", "test acc.")
    assert [row[-2:] for row in output.table.rows] == [("2.500", "–"), ("–", "0.629")]
    folder, summary = write_output(output, root=Path("runs"))
    recorded, moons = rows_of(folder / "replay.csv")
    assert (recorded["kept_rmse"], recorded["kept_accuracy"], moons["kept_rmse"]) == ("2.5", "", "")
    # What counts in one of them is not on record in the other.
    (step,) = next_steps(Path(summary.run_dir), "finished", summary)
    assert step.command == "stopcli compare rmse moons --metric val_loss"


def test_a_metric_that_selects_is_not_repeated() -> None:
    results = replay(write_arms()[:4], ReplayOptions(patience=(3, 50), monitor="val_rmse"))
    output = output_of_replay(results)
    assert output.table.columns[-2:] == ("regret", "val. RMSE (°C)")
    (panel,) = output.figures()["frontier"]().axes
    assert panel.get_ylabel() == "regret in val_rmse (°C)"
    (_, stops) = (part for part in output.document([]).sections[0].parts)
    assert stops.columns == ("rule", "epochs saved", "val_rmse (°C) at the stop")
    assert "Patience 0 is the smallest that keeps the best val_rmse" in " ".join(output.answers)


def test_a_score_is_lost_where_it_is_lower() -> None:
    paths = [
        write_recorded(f"a{seed}", seed=seed, lowest=30, columns=score_columns(30, 0.8 + seed / 100), headline=AUC)
        for seed in range(4)
    ]
    results = replay(paths, ReplayOptions(patience=(3,), rules=("threshold:1.1",)))
    patience, threshold = (rule.mean("auc_lost") for rule in results.experiments[0].rules)
    assert patience == pytest.approx(0)
    assert threshold is not None
    assert threshold > 0
    output = output_of_replay(results)
    assert (
        "whose validation AUC is not distinguishably lower than that of the best epoch of all" in output.conclusions[0]
    )
    quality = output.figures()["frontier"]().axes[1]
    assert quality.get_ylabel() == "validation AUC of the epoch selected"
    # Higher and dearer: both rules lie on the front, and both are named.
    assert {text.get_text() for text in quality.texts} == {"patience:3", "threshold:1.1"}


def test_an_accuracy_in_percent_is_drawn_as_it_is() -> None:
    """As many programs record it. What is missing of it to 1 would be less than nothing."""
    paths = [Path(f"lstm-seed{seed}.csv") for seed in range(3)]
    for seed, path in enumerate(paths):
        rows = [f"{epoch},{1 / epoch + epoch / 50},{60 + 9 * epoch**0.5 + seed}" for epoch in range(1, 13)]
        path.write_text("epoch,val_loss,val_acc\n" + "\n".join(rows) + "\n")
    results = replay(paths, ReplayOptions(patience=(2,)))
    (experiment,) = results.experiments
    assert experiment.headline == Headline("acc", "max", "score", "%")
    quality = output_of_replay(results).figures()["frontier"]().axes[1]
    assert quality.get_ylabel() == "validation acc of the epoch selected (%)"
    low, high = quality.get_ylim()
    assert 60 < low < high < 100


def test_a_proportion_beside_the_same_in_percent_is_told_and_decides_nothing() -> None:
    for arm, scale in (("old", 1), ("new", 100)):
        Path(arm).mkdir()
        for seed in range(3):
            Path(arm, f"seed{seed}.csv").write_text(f"epoch,val_acc\n1,{0.8 * scale}\n2,{(0.9 - seed / 100) * scale}\n")
    paths = [*sorted(Path("old").iterdir()), *sorted(Path("new").iterdir())]
    doubt = "val_acc is in percent in new, and never above 1 in old"
    for order in (paths, paths[::-1]):
        measure = compare(order).measure
        assert (measure.headline, measure.doubt) == (Headline("acc", "max", "score", "%"), doubt)
        assert doubt in measure.warnings
    found = gate_of(compare(paths), Requirement("not-worse", "0"))
    assert (found.holds, found.reason) == (None, doubt)


def test_an_accuracy_in_percent_beside_a_loss_that_counts_is_in_percent_too() -> None:
    for arm in ("a", "b"):
        for seed in range(3):
            columns = {**regression_columns(20, 2.5), "val_accuracy": np.linspace(50, 90 + seed, 60)}
            write_recorded(f"{arm}{seed}", seed=seed, columns=columns, settings={"arm": arm})
    results = compare([Path(f"{arm}{seed}") for arm in "ab" for seed in range(3)], metric="val_accuracy")
    assert results.measure.headline == Headline("accuracy", "max", "score", "%")
    assert results.measure.doubt == ""


def test_a_direction_that_a_run_has_on_record_is_not_asked_for() -> None:
    columns = regression_columns(20, 1.0)
    columns["val_bleu"] = columns.pop("val_rmse")
    for name, direction in (("low", "min"), ("high", "max")):
        write_recorded(name, columns=columns, headline={"name": "bleu", "direction": direction, "kind": "score"})
    rules = [
        replay([Path(name)], ReplayOptions(patience=(100,), monitor=monitor, select=select)).experiments[0].rules[0]
        for name in ("low", "high")
        for monitor, select in (("val_bleu", ""), ("val_loss", "val_bleu"))
    ]
    assert [rule.mean("kept_epoch") for rule in rules] == [20, 20, 60, 60]
    assert rules[2].rule.mode == "max"  # type: ignore[attr-defined]
    for options in (ReplayOptions(monitor="val_bleu"), ReplayOptions(select="val_bleu")):
        with pytest.raises(ConfigError, match="because the name 'val_bleu' does not tell which is better"):
            replay([Path("low"), Path("high")], options)


def test_the_step_after_a_comparison_names_a_metric_that_is_on_record() -> None:
    paths = write_arms()
    _, summary = write_output(output_of(compare(paths)), root=Path("runs"))
    (step,) = next_steps(Path(summary.run_dir), "finished", summary)
    assert step.command == f"stopcli replay {' '.join(map(str, sorted(paths)))} --monitor val_rmse"
    files = []
    for seed in range(3):
        for arm in "xy":
            values = [seed + (2.1 + seed / 50) * (arm == "y") - abs(epoch - 5) for epoch in range(10)]
            rows = [f"{epoch},{value},{value}" for epoch, value in enumerate(values)]
            files.append(Path(f"{arm}-seed{seed}.csv"))
            files[-1].write_text("\n".join(["epoch,val_bleu,test_bleu", *rows]) + "\n")
    results = compare(files, metric="test_bleu", mode="max")
    assert verdicts(results) == ["better", "better"]
    _, summary = write_output(output_of(results), root=Path("runs"))
    (step,) = next_steps(Path(summary.run_dir), "finished", summary)
    assert step.command.endswith(" --monitor val_bleu --mode max")


def test_a_unit_and_a_long_name_are_drawn_as_they_are() -> None:
    name = "mean_absolute_percentage_error"
    columns = regression_columns(20, 2.0)
    columns[f"val_{name}"] = columns.pop("val_rmse")
    headline = {"name": name, "direction": "min", "kind": "error", "unit": "$ per $"}
    paths = [write_recorded(arm, columns=columns, headline=headline, settings={"arm": arm}) for arm in ("a", "b")]
    figure = output_of_replay(replay(paths[:1], ReplayOptions(patience=(3,)))).figures()["frontier"]()
    lines = figure.axes[1].get_ylabel().splitlines()
    assert " ".join(lines) == r"validation mean absolute percentage error of the epoch selected (\$ per \$)"
    assert max(map(len, lines)) <= 42
    results = compare(paths)
    curves, values = (draw() for draw in figures_of(results, curves_of(results.arms, results.measure)).values())
    assert curves.axes[1].get_ylabel() == r"validation mean absolute percentage error (\$ per \$)"
    assert values.axes[0].get_xlabel() == rf"val_{name} of the last epoch (\$ per \$)"
