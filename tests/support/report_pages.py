"""Reports of finished runs of every kind, with the figures as they are drawn now, without training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from recorded_curves import valleys, write_curves
from summaries import run_summary

from stopcli.analysis import compare_report, recommend_report, replay_report
from stopcli.analysis.compare import compare
from stopcli.analysis.recommend import recommend
from stopcli.analysis.replay import ReplayOptions, replay
from stopcli.recipes.base import recipe_of, run_marks
from stopcli.report.baselines import baselines_table
from stopcli.report.curves import error_curves, learning_curves
from stopcli.report.document import Table
from stopcli.report.drawing import Figures, draw
from stopcli.report.html import write_output, write_report
from stopcli.report.images import (
    Mistake,
    Points,
    confusion,
    decision_boundary,
    grid_around,
    image_sheet,
    worst_images,
)
from stopcli.report.learning_rates import RangeLine, learning_rate_by_step, range_figure
from stopcli.report.predictions import predicted_against_true, residuals
from stopcli.report.run_report import training_report
from stopcli.report.table_figures import target_classes, target_numbers
from stopcli.runner.report import report_again
from stopcli.runner.resume import read_config
from stopcli.runs.metrics import read_metrics
from stopcli.runs.run import Run
from stopcli.runs.summary import ReportParts
from stopcli.sweeps.plan import collect, plan_jobs

RUNS = Path(__file__).parents[1] / "fixtures" / "runs"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_pages(root: Path) -> dict[str, Path]:
    """Write each report into a folder of its own.

    Returns:
        Its report.html, by what it reports.
    """
    figures: Mapping[str, Callable[[Run], Figures]] = {
        "case-study": _of_sweep,
        "cutout-sweep": _of_sweep,
        "clr": _of_sweep,
        "moons-seeds": _of_sweep,
        "moons": _of_moons,
        "cifar-resnet": _of_images,
        "lr-range": _of_range,
    }
    pages = {name: _page(root / name, draw_them) for name, draw_them in figures.items()}
    arms = [RUNS / "moons-seeds", RUNS / "moons-other"]
    outputs = {
        "replay": replay_report.output_of(replay(arms[:1], ReplayOptions())),
        "compare": compare_report.output_of(compare(arms)),
        "recommend": recommend_report.output_of(recommend(_curves(root / "curves"), ReplayOptions(), 0.01)),
    }
    for name, output in outputs.items():
        write_output(output, root=root, run_dir=root / name)
        pages[name] = root / name / "report.html"
    return {**pages, "table": _of_table(root / "table")}


def _curves(folder: Path) -> list[Path]:
    """Runs of two data sets, six seeds each."""
    return [
        path
        for hidden in (10, 20)
        for path in write_curves(folder / str(hidden), valleys(6, seed=hidden), hidden=hidden)
    ]


def _of_table(folder: Path) -> Path:
    """The report of a fit on a table of wide columns and long words."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    prices = draws.lognormal(12, 0.5, 600)
    regions = draws.integers(0, 30, 600)
    names = tuple(f"region number {i}, on the other side" for i in range(30))
    by_part = {"train": slice(0, 400), "validation": slice(400, 500), "test": slice(500, 600)}
    true, target = prices[500:, None], "price of the house in the first year after it was sold"
    figures: Figures = {
        "predicted": lambda: predicted_against_true(true, true * 1.1, "model of epoch 9 (best)", value=target),
        "residuals": lambda: residuals(true, true * 1.1, "model of epoch 9 (best)", value=target),
        "target": lambda: target_numbers({name: prices[rows] for name, rows in by_part.items()}, target, target),
        "classes_by_part": lambda: target_classes(
            {name: regions[rows] for name, rows in by_part.items()}, names, "region by part"
        ),
    }
    drawn = draw(lambda: figures, folder)
    assert drawn.warnings == []
    bounds = {"mean": -1.2345, "low": -5.6789, "high": 4.5678}
    difference = {**bounds, "rows": 100, "p": 0.4, "test": "bootstrap p", "verdict": "not distinguishable"}
    model = {"epoch": 9, "train": {"rmse": 90.0}, "test": {"rmse": 101.2345}}
    interval = {"rows": 100, "low": 90.1234, "high": 112.3456, "method": "bootstrap over the rows (BCa)"}
    summary = run_summary(
        headline={"name": "rmse", "direction": "min", "kind": "error"}, final=model,
        best={**model, "monitor": "val_rmse", "value": 1.0}, rows={"train": 400, "validation": 100, "test": 100},
        test_interval={"final": interval, "best": interval},
        baselines=[
            {
                "name": name, "is_linear": fitted != "", "fitted": fitted, "test": {"rmse": 102.469},
                "low": 91.2345, "high": 113.4567, "final": difference, "best": difference,
            }
            for name, fitted in (("mean", ""), ("ridge regression", "penalty 4, chosen on the 100 rows that validate"))
        ],
    )  # fmt: skip
    columns = ("line", "true", "predicted", "error", "floor_area_in_square_metres", "region", *"abc")
    worst = tuple((str(i), "612000.5", "412000.5", "-200000", "80.25", names[i], *"123") for i in range(10))
    parts = (("train", "400", "12", "2025-01-01 00:00:00", "2025-08-01 00:00:00", "171234", "81234"),) * 3
    tables = [
        baselines_table(summary),
        Table("Worst test rows", columns, worst),
        Table("Rows by part", ("part", "rows", "groups", "from", "to", "mean target", "sd"), parts),
    ]
    content = ReportParts(
        "fit houses.csv: patience 9, seed 0",
        ("Data: houses.csv",),
        tuple(table.for_summary() for table in tables),
        tuple(picture.name for picture in drawn.pictures),
    )
    write_report(folder, training_report(summary, content, {}, ""))
    return folder / "report.html"


def _page(folder: Path, figures: Callable[[Run], Figures]) -> Path:
    shutil.copytree(RUNS / folder.name, folder)
    run = Run.read(folder)
    drawn = draw(lambda: figures(run), folder)
    assert drawn.warnings == []
    report_again(folder)
    return folder / "report.html"


def _of_sweep(run: Run) -> Figures:
    config: Any = read_config(run.path)
    results = [result for result in collect(plan_jobs(config), run.path / "jobs", {}) if result.state == "finished"]
    return recipe_of(config.command).sweep_figures(config, results)


def _of_moons(run: Run) -> Figures:
    config: Any = read_config(run.path)
    x = np.random.default_rng(0).normal(size=(100, 2))
    grid = grid_around(x)
    points = [Points("train", x[:30], x[:30, 0] > 0, "o"), Points("test", x[30:], x[30:, 0] > 0, "^")]
    title = "MLP-500 on moons, patience 5: seed 0"
    return {
        "curves": lambda: learning_curves(run.metrics, "test", run_marks(config, run.results), title),
        "moons": lambda: decision_boundary(grid, 1 / (1 + np.exp(-grid[0])), points, f"{title}, its best model"),
    }


def _of_images(run: Run) -> Figures:
    config: Any = read_config(run.path)
    draws = np.random.default_rng(0)
    images = draws.random((10, 8, 8, 3))
    marks = run_marks(config, run.results)
    title = "ResNet-20 on digits, erasing, quick scale: seed 0"
    mistakes = [Mistake(image, "automobile", "truck", 0.99) for image in images]
    matrix = draws.integers(0, 1000, (10, 10))
    return {
        "curves": lambda: error_curves(run.metrics, "test", marks, title, cycle=2),
        "learning_rate": lambda: learning_rate_by_step(read_metrics(run.path / "steps.csv"), "0.001, falling to 0"),
        "augmented": lambda: image_sheet([images] * 6, ["as it is", *"12345"], CLASSES, title),
        "confusion": lambda: confusion(matrix, CLASSES, f"{title}: 0.912 of the test images right"),
        "worst": lambda: worst_images(mistakes, f"{title}: its most confident mistakes"),
    }


def _of_range(run: Run) -> Figures:
    rates = np.geomspace(1e-5, 1, 100)
    losses = 2.3 - 1.5 * rates**0.3 + 5 * rates**3
    suggestions = {"steepest fall": 2.4e-2, "valley": 2.2e-2, "minimum / 10": 1e-1}
    title = "ResNet-8 on digits, sgd (quick scale)"
    return {"range": lambda: range_figure([RangeLine(rates, losses, losses)], suggestions, (2e-2, 1e-1), title)}
