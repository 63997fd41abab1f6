"""What is drawn and tabled of what a user's model predicts, and how arms of a sweep are compared."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from job_results import job_result
from summaries import run_summary

from stopcli.data.dataset import Examples, Splits
from stopcli.errors import RequestError
from stopcli.recipes.fit_results import (
    fit_figures,
    fit_sweep_figures,
    fit_sweep_results,
    fit_tables,
    run_after,
    with_failures_of_after,
)
from stopcli.report.drawing import draw, own_defaults
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import Headline
from stopcli.sweeps.plan import Job

ROWS = 40
DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(ROWS, 6)).astype(np.float32)
WARNING = "after() failed, and nothing else of the run depends on it: KeyError"


def experiment(loss, y, x=X, *, test=True):
    rows = Examples(x, y)
    none = rows.take(0, 0)
    return SimpleNamespace(loss=loss, parts=Splits(rows, none, rows if test else none), classes=(), table=None)


def evaluation(predictions, **changes):
    return SimpleNamespace(
        test_predictions=predictions, predict=lambda x: predictions[: len(x)], summary=run_summary(**changes)
    )


CONFIG = SimpleNamespace(
    file="/home/me/rooms.py", data_name="rooms.py", seed=0, arm="patience-3", rules="patience-3", validation="split",
    threshold=None, baseline=None, monitor="loss",
)  # fmt: skip
METRICS = {"epoch": np.arange(1.0, 5), "step": np.arange(4.0), "loss": np.ones(4), "mae": np.ones(4)}
MAE = {"name": "mae", "direction": "min", "kind": "error", "unit": "kg"}


def results_for(loss, y, predictions, *, x=X, test=True, **changes):
    measured = evaluation(predictions if test else None, headline=MAE, **changes)
    if not test:
        measured.predict = lambda rows: predictions[: len(rows)]
    of = experiment(loss, y, x, test=test)
    figures = fit_figures(CONFIG, of, measured, METRICS)
    # Drawn, but not written, which takes most of the time; the curves are drawn in the tests of curves.
    with own_defaults():
        for name, figure in figures.items():
            if name != "curves":
                figure().draw_without_rendering()
    return list(figures), fit_tables(of, measured)


def test_numbers_have_residuals_and_the_rows_farthest_off():
    y = X[:, 0].copy()
    predicted = y[:, None] + 0.1
    predicted[[7, 3], 0] += [5, -9]
    figures, tables = results_for("mse", y, predicted)
    assert figures == ["curves", "predicted", "residuals"]
    worst = tables["worst"]
    assert worst.title == "Worst test rows"
    assert worst.columns == ("row", "true", "predicted", "error", "x[0]", "x[1]", "x[2]", "x[3]")
    assert [row[0] for row in worst.rows[:2]] == ["3", "7"]
    assert worst.rows[0][3] == "-8.9"
    assert float(worst.exact[0][4]) == pytest.approx(X[3, 0])


def test_images_of_numbers_are_drawn_value_by_value():
    y = DRAW.normal(size=(ROWS, 3, 4)).astype(np.float32)
    predicted = y.copy()
    predicted[5] += 1
    figures, tables = results_for("mse", y, predicted, x=np.zeros((ROWS, 3, 4)))
    assert figures == ["curves", "predicted", "residuals"]
    assert tables["worst"].columns == ("row", "mean |error|", "largest |error|")
    assert tables["worst"].rows[0] == ("5", "1", "1")


@pytest.mark.parametrize("form", ["index", "one-hot", "one output"])
def test_classes_have_confusions_a_table_and_confident_mistakes(form):
    true = DRAW.integers(0, 2 if form == "one output" else 3, ROWS)
    predicted = np.eye(3)[true] * 0.8 + 0.05
    y, loss = true, "sparse_categorical_crossentropy"
    wrong = int(np.flatnonzero(true == 1)[0])
    predicted[wrong] = [0.99, 0.005, 0.005]
    if form == "one-hot":
        y, loss = np.eye(3)[true], "categorical_crossentropy"
    elif form == "one output":
        y, predicted, loss = true, predicted[:, 1:2] * 1.1, "binary_crossentropy"
    figures, tables = results_for(loss, y, predicted.astype(np.float32))
    assert figures == ["curves", "confusion_matrix"]
    assert tables["classes"].columns == ("class", "precision", "recall", "F1", "rows")
    assert [row[0] for row in tables["classes"].rows[:2]] == ["0", "1"]
    assert [row[:3] for row in tables["worst"].rows] == [(str(wrong), "1", "0")]
    assert tables["worst"].columns[3] == "confidence"


def test_without_mistakes_there_is_no_table_of_them():
    true = DRAW.integers(0, 3, ROWS)
    _, tables = results_for("sparse_categorical_crossentropy", true, np.eye(3)[true])
    assert list(tables) == ["classes"]


def test_scores_are_drawn_by_target_and_other_tasks_have_their_curves():
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    assert results_for("mse", y, X[:, :1]) == (["curves", "scores"], {})
    several = {"a": y, "b": y}
    assert results_for({"a": "mse", "b": "mse"}, several, several) == (["curves"], {})
    words = DRAW.integers(0, 9, (ROWS, 5))
    loss = "sparse_categorical_crossentropy"
    assert results_for(loss, words, np.full((ROWS, 5, 9), 1 / 9)) == (["curves"], {})


def test_where_no_rows_test_others_are_shown_and_the_table_says_which():
    y = X[:, 0].copy()
    figures, tables = results_for("mse", y, y + 1, test=False)
    assert figures == ["curves", "predicted", "residuals"]
    assert tables["worst"].title == "Worst training rows"
    # Of a run that was ended before its model was measured.
    ended = evaluation(None, final={"epoch": 1})
    assert fit_tables(experiment("mse", y, test=False), ended) == {}


def test_inputs_by_name_are_columns_of_the_worst_rows():
    x = {"size": X[:, :1], "age": X[:, 1], "word": np.array(["a"] * ROWS)}
    _, tables = results_for("mse", X[:, 0], X[:, 1], x=x)
    assert tables["worst"].columns[4:] == ("x age", "x size", "x word")
    _, tables = results_for("mse", X[:, 0], X[:, 1], x=np.zeros((ROWS, 4, 4, 3)))
    assert tables["worst"].columns == ("row", "true", "predicted", "error")


def folder_of_a_run():
    return RunFolder.create(root=Path("runs"), command="fit", name="x", run_dir=None)


def test_what_after_writes_stays_and_what_it_raises_costs_no_run():
    with folder_of_a_run() as folder:
        assert run_after(lambda path: (path / "a.csv").write_text("1"), folder) == ()
        assert [path.name for path in (folder.path / "after").iterdir()] == ["a.csv"]

        def fail(path):
            (path / "half.txt").write_text("half")
            raise RequestError("rooms.py, line 7, in after(): KeyError: 'price'\n    rows['price']")

        (warning,) = run_after(fail, folder)
        assert "rooms.py, line 7, in after(): KeyError: 'price' / rows['price']" in warning
        # What an earlier session wrote is of another model.
        assert [path.name for path in (folder.path / "after").iterdir()] == ["half.txt"]
        log = (folder.path / "log.txt").read_text()
        assert "rooms.py, line 7, in after(): KeyError: 'price'\n" in log
        assert "    rows['price']\n" in log
        assert run_after(lambda path: None, folder) == ()
        assert not (folder.path / "after").exists()


def test_a_full_disk_is_no_fault_of_after():
    def fill(path):
        raise OSError(28, "No space left on device")

    with folder_of_a_run() as folder, pytest.raises(OSError, match="No space"):
        run_after(fill, folder)


@dataclass
class SweepSettings:
    """What results read of a config."""

    file: str = "rooms.py"
    data_name: str = "rooms.py"
    seeds: int = 4
    seed: int = 0
    restore_best: bool = False
    checkpoint: bool = True
    validation: str = "split"
    reference_arm: str = "units-16"
    headline: Headline = field(default_factory=lambda: Headline(**MAE))

    def arm_label(self, arm):
        return arm.replace("-", " ")


def sweep(rows="test"):
    """Three arms over four seeds: the second is always better by 1 kg or so, the third is not distinguishable."""
    config, results = SweepSettings(), []
    offsets = {"units-16": [0, 0, 0, 0], "units-64": [-1.0, -1.1, -0.9, -1.05], "units-2": [0.5, -0.5, 0.3, -0.2]}
    for arm, by_seed in offsets.items():
        for seed, offset in enumerate(by_seed):
            value = 5 + 0.1 * seed + offset
            values = {part: {"loss": value**2, "mae": value} for part in ("train", rows)}
            summary = run_summary(
                seed=seed, headline=MAE, final={"epoch": 4, **values}, best={"epoch": 3, "monitor": "val_mae", **values}
            )
            path = Path(f"jobs/{arm}-{seed}")
            path.mkdir(parents=True, exist_ok=True)
            lines = [f"{epoch},{epoch},{value / epoch},{value / epoch}" for epoch in (1, 2, 3)]
            (path / "metrics.csv").write_text("epoch,step,val_loss,val_mae\n" + "\n".join(lines) + "\n")
            (path / "config.toml").write_text('command = "fit"\n')
            job = Job(f"{arm}-{seed}", arm, SweepSettings(seed=seed))
            results.append(job_result(job, "finished", summary=summary, path=path))
    return config, results


def test_arms_are_compared_with_the_first_over_their_seeds():
    config, jobs = sweep()
    results = fit_sweep_results(config, jobs)
    table = results.tables[0]
    first, better, same = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert first["final test MAE"] == "5.150 ± 0.129 [5.000, 5.300]"
    assert first["final, against units 16"] == "–"
    assert better["final, against units 16"].startswith("−1.013 [")
    assert same["final, against units 16"].startswith("+0.02500 [")
    assert results.conclusions[0] == "At n = 4, better than units 16: units 64. Not distinguishable: units 2."
    assert results.conclusions[1].startswith("units 64 against units 16: test MAE of the final model −1.013 kg (95 % ")
    assert results.files["table.csv"].startswith("arm,planned,finished,mae_mean,mae_sd,difference,")
    assert results.summary["arms"][1]["difference"] == pytest.approx(-1.0125)


def test_where_no_rows_test_arms_are_compared_on_those_that_validate():
    config, jobs = sweep("val")
    results = fit_sweep_results(config, jobs)
    assert "final validation MAE" in results.tables[0].columns
    assert "validation MAE of the final model" in results.conclusions[1]


def test_runs_whose_after_failed_are_counted_in_a_sweep():
    config, jobs = sweep()
    results = fit_sweep_results(config, jobs)
    assert with_failures_of_after(results, jobs) is results
    failed = [replace(jobs[0], run=replace(jobs[0].run, summary=replace(jobs[0].summary, warnings=(WARNING,))))]
    sentence = with_failures_of_after(results, [*failed, *jobs[1:]]).conclusions[-1]
    assert sentence == "In 1 of 12 runs after() failed, and nothing else of the run depends on it: KeyError."


def test_curves_and_values_of_arms_are_drawn_over_each_other():
    config, jobs = sweep()
    drawn = draw(lambda: fit_sweep_figures(config, jobs), Path())
    assert drawn.warnings == []
    assert [picture.name for picture in drawn.pictures] == ["curves", "values"]
    labels = Path("plots/curves.svg").read_text()
    for text in ("units 64 (median of 4 runs)", "validation MAE (kg)", "validation loss"):
        assert text in labels
