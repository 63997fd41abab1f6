from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from summaries import run_summary

from stopcli.report.curves import Marks, fit_scale, learning_curves, new_figure, seed_curves, seed_points
from stopcli.report.document import Table, to_markdown
from stopcli.report.drawing import draw
from stopcli.report.images import Points, decision_boundary, grid_around, plain_scatter
from stopcli.report.run_report import selection_sentence, training_report, why_stopped
from stopcli.report.run_results import run_table
from stopcli.runs.environment import Environment
from stopcli.runs.summary import ChosenEpoch, ReportParts, RunSummary, Selection


def metrics(epochs: int) -> dict[str, np.ndarray]:
    t = np.arange(1, epochs + 1, dtype=float)
    falling = np.exp(-t / 50)
    return {
        "epoch": t, "step": t, "loss": falling, "val_loss": falling + 0.1,
        "accuracy": 1 - falling, "val_accuracy": 0.9 - falling,
    }  # fmt: skip


def test_a_run_is_a_row_with_both_models() -> None:
    table = run_table(run_summary(), "patience 20")
    assert table.rows == (
        ("patience 20", "120", "120", "1.000", "0.900 [0.808, 0.951]", "90", "0.900", "0.950 [0.862, 0.978]"),
    )
    assert run_table(run_summary(best=None), "x").rows[0][-3:] == ("–", "–", "–")


SELECTION = {
    "honest": {"monitor": "val_accuracy", "epoch": 90, "value": 0.95, "test_accuracy": 0.9},
    "claimed": {"monitor": "test_accuracy", "epoch": 70, "value": 0.925, "test_accuracy": 0.925},
}


def report_of(summary: RunSummary, config: str = "") -> str:
    environment: Environment = {
        "argv": ["stopcli", "moons"], "versions": {"keras": "3"}, "platform": "L", "cpu": "C", "cores": 2, "gpus": [],
    }  # fmt: skip
    assert summary.report is not None
    return to_markdown(training_report(summary, summary.report, environment, config))


def test_a_run_whose_test_rows_are_set_apart_says_what_they_would_have_claimed() -> None:
    text = report_of(run_summary(selection=SELECTION, best=None))
    for part in (
        "Chosen by val_accuracy, epoch 90 has a test accuracy of 0.900, on rows that chose nothing; chosen by "
        "test_accuracy, epoch 70 would have claimed 0.925: 0.025 more. That is 2 of 70 rows; one run "
        "cannot tell how much of it is luck.",
        "## Honest selection",
        "| by test_accuracy | 70 | 0.925 |",
        "| difference |  | +0.025 |",
        "Correct test rows: 63 of 70 (final model). In brackets is",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("claimed", "ending"), [(0.9, "claimed 0.900: the same."), (0.8, "0.100 less. That is 1,000 of 10,000 rows; one")]
)
def test_what_the_test_rows_would_not_have_claimed_is_said_too(claimed: float, ending: str) -> None:
    selection = Selection(ChosenEpoch("val_loss", 9, 0.2, 0.9), ChosenEpoch("test_loss", 8, 0.1, claimed))
    assert ending in selection_sentence(selection, 10_000)


def test_a_table_is_markdown_and_csv() -> None:
    table = Table("t", ("a", "b"), (("1", "x|y"), ("2", 'say "z"')))
    assert table.markdown() == '| a | b |\n|---|---|\n| 1 | x\\|y |\n| 2 | say "z" |\n'
    assert table.csv() == 'a,b\n1,x|y\n2,"say ""z"""\n'


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("patience", "Stopped at epoch 120 of 400: no improvement since epoch 100 (val_loss patience=20)"),
        ("baseline", "Stopped at epoch 120 of 400: 20 epochs and the baseline was never beaten"),
        ("threshold", "Stopped at epoch 120 of 400: the threshold was reached"),
        ("all_of", "Stopped at epoch 120 of 400: each of these rules had fired (val_loss patience=20)"),
        ("completed", "Ran all 400 epochs; no rule stopped it; the best val_loss, 0.2345, was at epoch 100."),
        ("non_finite", "Stopped at epoch 120 of 400: a metric is not finite (val_loss patience=20). Every epoch"),
        ("interrupted", "Interrupted after epoch 120 of 400"),
        ("time_budget", "Paused after epoch 120 of 400"),
    ],
)
def test_every_reason_has_its_sentence(reason: str, sentence: str) -> None:
    summary = run_summary()
    assert why_stopped(replace(summary, stop=replace(summary.stop, reason=reason))).startswith(sentence)


def test_a_run_of_one_epoch_is_told_of_in_the_singular() -> None:
    summary = run_summary(max_epochs=1)
    completed = replace(summary, stop=replace(summary.stop, reason="completed", epoch=1, wait=1))
    assert why_stopped(completed).startswith("Ran its only epoch; no rule stopped it")
    assert why_stopped(replace(completed, stop=replace(completed.stop, reason="baseline"))).startswith(
        "Stopped at epoch 1 of 1: 1 epoch and the baseline was never beaten"
    )


def test_the_report_says_what_a_reader_needs() -> None:
    summary = run_summary()
    table = run_table(summary, "patience 20")
    parts = ReportParts("moons", ("an MLP",), (), ("other",))
    text = report_of(replace(summary, scale="quick", report=parts), "patience = 20\n")
    assert "- an MLP" in text
    for part in ("# moons", "Stopped at epoch 120", "Quick scale", table.markdown(),
                 "](plots/other.png)", "`stopcli moons`", "patience = 20", "chose nothing"):  # fmt: skip
        assert part in text
    assert summary.best is not None
    held_out = replace(summary, best=replace(summary.best, val={"loss": 0.1, "accuracy": 0.9}))
    assert "chose nothing" not in report_of(held_out)


MARKS = Marks(120, "epoch 120: stopped", 100, "epoch 100: best", 90, "epoch 90: saved", wait=20)


def test_curves_show_stop_best_and_patience() -> None:
    figure = learning_curves(metrics(120), "test", MARKS, "title")
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines[:2]] == ["train (as it trains)", "test"]
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(1, 121))
        marked = {line.get_label(): line.get_xdata()[0] for line in axes.lines[2:]}  # type: ignore[index]
        assert marked == {"epoch 100: best": 100, "epoch 90: saved": 90, "epoch 120: stopped": 120}
        (shaded,) = axes.patches
        assert shaded.get_extents().x0 < shaded.get_extents().x1
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "patience: 20 epochs without an improvement" in texts
    assert len(texts) == 6


def test_curves_of_one_epoch_and_of_a_million_can_be_drawn(tmp_path: Path) -> None:
    figures = {
        "one": lambda: learning_curves(metrics(1), "test", Marks(1, "end"), "one epoch"),
        "many": lambda: learning_curves(metrics(10**6), "test", Marks(10**6, "end"), "a million"),
    }
    drawn = draw(lambda: figures, tmp_path)
    assert [picture.path for picture in drawn.pictures] == ["plots/one", "plots/many"]
    assert (tmp_path / "plots" / "many.svg").stat().st_size < 2_000_000


@pytest.mark.parametrize(
    ("values", "falls", "scale", "low", "high"),
    [
        # All of it is seen, not from 0.
        (np.linspace(1.0, 0.5, 100), True, "linear", 0.45, 1.05),
        # A first epoch that would flatten the rest is cut off, on either side.
        (np.array([8.0, *np.linspace(1.2, 0.9, 99)]), True, "linear", 0.85, 1.35),
        (np.array([0.1, *np.linspace(0.9, 0.95, 99)]), False, "linear", 0.87, 0.96),
        # A loss that falls by decades is drawn by its logarithm.
        (np.geomspace(1.0, 1e-4, 100), True, "log", 5e-5, 2.0),
        # Nothing finite, or nothing that differs, is left as it is.
        (np.array([np.nan, np.inf]), True, "linear", -0.1, 1.1),
        (np.ones(50), False, "linear", 0.9, 1.1),
    ],
)
def test_axes_show_the_differences(values: np.ndarray, falls: bool, scale: str, low: float, high: float) -> None:
    _, (axes,) = new_figure(3)
    axes.plot(values)
    fit_scale(axes, [values], falls=falls)
    bottom, top = axes.get_ylim()
    assert axes.get_yscale() == scale
    assert low <= bottom < top <= high
    cut = not bottom <= np.nanmin(values) or not top >= np.nanmax(values[np.isfinite(values)], initial=bottom)
    assert bool(axes.get_title(loc="right")) == cut


def test_a_table_knows_the_columns_that_it_is_read_for() -> None:
    run = run_table(run_summary(), "patience 20")
    assert [run.columns[i] for i in run.key_columns] == ["arm", "test accuracy", "saved epoch", "its test acc."]
    compared = Table("t", ("", "of", "runs", "val loss", "95 % interval"), ())
    assert compared.key_columns == (0, 1, 3, 4)
    # Where none is known, all are.
    assert Table("t", ("setting", "a", "b"), ()).key_columns == (0, 1, 2)


def points(rows: int) -> list[Points]:
    draw = np.random.default_rng(0)
    return [Points("train", draw.normal(size=(rows, 2)), draw.integers(0, 2, rows), "o")]


def test_the_boundary_lies_where_the_probability_is_a_half() -> None:
    group = points(50)
    grid = grid_around(group[0].x)
    figure = decision_boundary(grid, 1 / (1 + np.exp(-5 * grid[0])), group, "title")
    boundary = [c for c in figure.axes[0].collections if list(getattr(c, "levels", [])) == [0.5]]
    (path,) = boundary[0].get_paths()
    np.testing.assert_allclose(path.vertices[:, 0], 0, atol=1e-3)  # type: ignore[index]
    # A model that says the same everywhere has no boundary to draw.
    flat = decision_boundary(grid, np.full(grid[0].shape, 0.9), group, "flat")
    assert not [c for c in flat.axes[0].collections if list(getattr(c, "levels", [])) == [0.5]]


def test_figures_are_written_as_png_and_svg_the_same_each_time(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        figures = {
            "curves": lambda: learning_curves(metrics(50), "test", MARKS, "title"),
            "scatter": lambda: plain_scatter(points(20), "points"),
            "seeds": lambda: seed_curves([metrics(40), metrics(60)], "test", [40, 60], "seeds"),
            "epochs": lambda: seed_points({"stopped at": [40, 60], "best": [20, 20]}, "epoch", str, "epochs"),
            "accuracies": lambda: seed_points({"test": [0.9, 0.9, 0.8]}, "accuracy", "{:.3f}".format, "accuracies"),
        }
        tmp_path.joinpath(folder).mkdir()
        assert draw(lambda: figures, tmp_path / folder).warnings == []  # noqa: B023, called at once
    one, two = (tmp_path / folder / "plots" for folder in ("one", "two"))
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(f"{n}.{e}" for n in figures for e in ("png", "svg"))
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
