"""A sweep from its settings to its summary, or to its plan alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from stopcli.cli.console import Output, RunView
from stopcli.cli.starting import has_gpu, process_age, start_and_log, stopwatch_of
from stopcli.cli.sweep_view import SweepView
from stopcli.config import AnyConfig
from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.recipes.recipe import Loaded, Recipe
from stopcli.runs.folder import RunFolder
from stopcli.sweeps.layout import Layout, plan_layout
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.interruption import StopRequest
from stopcli.training.session import Start


def settle_layout(config: AnyConfig) -> tuple[AnyConfig, Layout | None]:
    """How a sweep's runs are executed here, and its settings with the threads that each of them computes with.

    Raises:
        RequestError: they cannot be executed as the settings say.
    """
    if not config.is_sweep:
        return config, None
    layout = plan_layout(config, gpu=has_gpu())
    layout.check()
    settled: dict[str, Any] = {} if layout.threads is None else {"threads": layout.threads}
    if config.init_from:
        # Jobs on other machines have other working folders.
        settled["init_from"] = str(Path(config.init_from).resolve())
    return replace(config, **settled), layout


def execute_sweep(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    layout: Layout,
    start: Start,
    output: Output,
    request: StopRequest,
) -> dict[str, Any]:
    """Run the jobs of a sweep that are left, with a live table. Returns the content of its summary.json."""
    from stopcli.recipes.sweeping import run_sweep

    if layout.executor == "in-process":
        with RunView(output) as view:
            start_and_log(loaded.config, folder, view.run(loaded.config.command), output, request)
    with SweepView(output, loaded.config.command) as table:
        return run_sweep(loaded, recipe, folder, layout, table.show, request, stopwatch_of(loaded), start)


def show_plan(loaded: Loaded, layout: Layout, output: Output) -> None:
    """Measure a few steps of each arm of a sweep, and print its plan."""
    for words in loaded.words:
        output.say(words)
    jobs = plan_jobs(loaded.config)
    with RunView(output) as view:
        observer = view.run(loaded.config.command)
        observer.stage("starting TensorFlow")
        from stopcli.training.tensorflow_setup import start_tensorflow

        start_tensorflow(layout.threads)
        # After TensorFlow, which it imports.
        from stopcli.recipes.projecting import estimate, plan_summary, plan_table, total_seconds

        arms = estimate(loaded, jobs, process_age(), observer)
    output.result(plan_table(jobs, arms), plan_summary(jobs, arms, layout))
    seconds = format_duration(total_seconds(jobs, arms, layout))
    whole = "in all" if layout.workers else "one after the other; how many at a time is the cluster's to say"
    output.say(f"{counted(len(jobs), 'run')}, {layout.describe()}: about {seconds} {whole}. Nothing was trained.")
