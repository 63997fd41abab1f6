"""Reports of finished runs of every kind, with the figures as they are drawn now, without training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stopcli.analysis import compare_report, replay_report
from stopcli.analysis.compare import compare
from stopcli.analysis.replay import ReplayOptions, replay
from stopcli.recipes.base import recipe_of, run_marks
from stopcli.report.curves import error_curves, learning_curves
from stopcli.report.drawing import Figures, draw
from stopcli.report.html import write_output
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
from stopcli.runner.report import report_again
from stopcli.runner.resume import read_config
from stopcli.runs.metrics import read_metrics
from stopcli.runs.run import Run
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
    }
    for name, output in outputs.items():
        write_output(output, root=root, run_dir=root / name)
        pages[name] = root / name / "report.html"
    return pages


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
