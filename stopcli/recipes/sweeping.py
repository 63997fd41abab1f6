"""A sweep over seeds from its config to its finished folder: the runs, and what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from stopcli.config import to_toml
from stopcli.recipes.recipe import Recipe
from stopcli.recipes.running import begin, run_one
from stopcli.report.markdown import sweep_report
from stopcli.report.tables import Table, seed_table, seed_values
from stopcli.runs.environment import usable_cores
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.sweeps.execute import JobResult, execute
from stopcli.sweeps.plan import Job, seed_jobs
from stopcli.training.interruption import StopRequest
from stopcli.training.observer import Observer
from stopcli.training.pacing import Stopwatch

# More lanes than this would each compile for longer than they train.
MOST_WORKERS = 8


def run_seeds(
    config: Any,
    recipe: Recipe,
    folder: RunFolder,
    watch_job: Callable[[str], Observer],
    request: StopRequest,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    """Run a config for each of its seeds, several at a time, and sum them up.

    Args:
        config: settings with `seeds` > 1.
        watch_job: makes the observer of a job from its name.

    Returns:
        The content of the sweep's summary.json.
    """
    environment = begin(config, folder)
    folder.jobs.mkdir()

    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        observer, words = watch_job(job.name), "failed"
        try:
            with RunFolder.create(root=folder.jobs, command=config.command, run_dir=folder.jobs / job.name) as own:
                summary = run_one(job.config, recipe, own, observer, request, Stopwatch(), lane=lane, plots=False)
            words = f"{summary['state']} at epoch {summary['epochs']}"
            return summary
        finally:
            observer.finished(words)

    with stopwatch.part("jobs"):
        results = execute(
            seed_jobs(config, config.arm),
            run,
            workers=min(usable_cores(), MOST_WORKERS),
            stop=lambda: request.asked,
        )
    return _finish(config, recipe, folder, environment, results, request, stopwatch)


def _finish(
    config: Any,
    recipe: Recipe,
    folder: RunFolder,
    environment: dict[str, Any],
    results: list[JobResult[Any]],
    request: StopRequest,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    finished = [result for result in results if result.state == "finished"]
    summaries = [result.summary for result in finished if result.summary is not None]
    table = (
        seed_table(summaries, config.arm.replace("-", " ")) if summaries else Table("No run finished", ("seed",), ())
    )
    plots: list[str] = []
    if summaries:
        from stopcli.report.saving import save_figures

        with stopwatch.part("plots"):
            metrics = [read_metrics(folder.jobs / result.job.name / "metrics.csv") for result in finished]
            written = save_figures(recipe.sweep_figures(config, summaries, metrics), folder.plots)
            plots = [f"plots/{path.name}" for path in written]
    summary = _summarise(config, results, summaries, request, stopwatch)
    write_text(folder.path / "table.csv", table.csv())
    write_text(folder.path / "table.md", table.markdown())
    write_json(folder.summary, summary)
    title = f"{config.command}: {config.arm.replace('-', ' ')}, {config.seeds} seeds"
    write_text(folder.report, sweep_report(title, summary, table, to_toml(config), environment, plots))
    folder.status.write(summary["state"], summary["reason"], epoch=max((s["epochs"] for s in summaries), default=0))
    return summary


def _summarise(
    config: Any,
    results: list[JobResult[Any]],
    summaries: list[dict[str, Any]],
    request: StopRequest,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    failed = [result for result in results if result.state == "failed"]
    if request.asked:
        state, reason = "interrupted", request.words
    elif failed:
        state, reason = "failed", f"{len(failed)} of {config.seeds} runs failed"
    else:
        state, reason = "finished", ""
    return {
        "command": config.command,
        "name": config.name,
        "state": state,
        "reason": reason,
        "scale": config.scale,
        "dataset": config.command,
        "seed": config.seed,
        "seeds": config.seeds,
        "arm": config.arm,
        "jobs": [
            {
                "name": result.job.name,
                "seed": result.job.config.seed,
                "state": result.state,
                "reason": result.reason,
                "epochs": result.summary["epochs"] if result.summary else 0,
                "stop": result.summary["stop"] if result.summary else None,
                "final": result.summary["final"] if result.summary else None,
                "best": result.summary["best"] if result.summary else None,
            }
            for result in results
        ],
        "over_seeds": {name: _spread(values) for name, values in seed_values(summaries).items()},
        "warnings": config.warnings(),
        "seconds": stopwatch.rounded(),
    }


def _spread(values: list[float]) -> dict[str, float | int | None]:
    return {
        "n": len(values),
        "mean": statistics.fmean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }
