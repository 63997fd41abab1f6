"""A sweep over seeds from its config to its finished folder: the runs, and what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stopcli.config import to_toml
from stopcli.recipes.recipe import Loaded, Recipe
from stopcli.recipes.resuming import prepare
from stopcli.recipes.running import begin, run_one
from stopcli.report.markdown import Made, sweep_report
from stopcli.report.tables import seed_csv, seed_table, seed_values
from stopcli.runs.environment import usable_cores
from stopcli.runs.files import read_json, write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.status import StatusFile
from stopcli.sweeps.execute import JobResult, execute
from stopcli.sweeps.plan import Job, seed_jobs
from stopcli.training.interruption import StopNow, StopRequest
from stopcli.training.observer import Observer
from stopcli.training.pacing import Stopwatch
from stopcli.training.session import Session, Start

# More lanes than this would each compile for longer than they train.
MOST_WORKERS = 8


def run_seeds(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    watch_job: Callable[[str], Observer],
    session: Session,
    start: Start = Start(),  # noqa: B008, a frozen value
) -> dict[str, Any]:
    """Run a config for each of its seeds, several at a time, and sum them up.

    Args:
        loaded: settings with `seeds` > 1, and the data of all seeds.
        watch_job: makes the observer of a job from its name.
        start: whether the sweep was begun before; its finished runs are then taken as they are.

    Returns:
        The content of the sweep's summary.json.
    """
    config = loaded.config
    folder.status.write("running")
    environment = begin(config, folder, start)
    folder.jobs.mkdir(exist_ok=True)
    request = session.request

    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        path = folder.jobs / job.name
        if start.again and _has_result(path):
            return read_json(path / "summary.json")
        observer, words = watch_job(job.name), "failed"
        try:
            own = replace(loaded, config=job.config)
            summary = _run_job(own, path, recipe, Session(observer, request, Stopwatch()), start, lane)
            words = f"{summary['state']} at epoch {summary['epochs']}"
            return summary
        finally:
            observer.finished(words)

    jobs = seed_jobs(config, config.arm)
    try:
        with session.stopwatch.part("jobs"):
            results = execute(
                jobs,
                run,
                workers=min(usable_cores(), MOST_WORKERS),
                stop=lambda: request.asked,
                tick=lambda: folder.status.beat(0),
            )
    except StopNow as stopped:
        _mark_left(folder, stopped)
        raise
    return _finish(loaded, recipe, folder, environment, jobs, results, session)


def _has_result(path: Path) -> bool:
    """Whether a job has ended by itself: finished, or diverged, which it would do again."""
    summary = read_json(path / "summary.json")
    return summary.get("state") == "finished" or summary.get("stop", {}).get("reason") == "non_finite"


def _run_job(
    loaded: Loaded, path: Path, recipe: Recipe, session: Session, start: Start, lane: dict[str, Any]
) -> dict[str, Any]:
    config = loaded.config
    if not path.exists():
        with RunFolder.create(root=path.parent, command=config.command, run_dir=path) as own:
            own.write_config(to_toml(config))
            return run_one(loaded, recipe, own, session, lane=lane, plots=False)
    if not (path / "config.toml").exists():
        # Killed between making the folder and its first file.
        with RunFolder.reopen(path, checked=False) as own:
            own.write_config(to_toml(config))
            return run_one(loaded, recipe, own, session, Start(again=True), lane=lane, plots=False)
    resumption = prepare(path, force=start.force)
    with RunFolder.reopen(path) as own:
        for warning in resumption.warnings:
            own.log(f"warning: {warning}")
        resumed = replace(loaded, config=resumption.config)
        return run_one(resumed, recipe, own, session, resumption.start, lane=lane, plots=False)


def _mark_left(folder: RunFolder, stopped: StopNow) -> None:
    """Say of the jobs whose threads are about to end with the process that they were interrupted."""
    for job in folder.jobs.iterdir():
        status = read_json(job / "status.json")
        if status.get("state") == "running":
            StatusFile(job / "status.json").write("interrupted", str(stopped), epoch=status.get("epoch", 0))


def _finish(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    environment: dict[str, Any],
    jobs: Sequence[Job[Any]],
    results: list[JobResult[Any]],
    session: Session,
) -> dict[str, Any]:
    config, request = loaded.config, session.request
    finished = [result for result in results if result.state == "finished"]
    summaries = [result.summary for result in finished if result.summary is not None]
    begun = [result.summary for result in results if result.summary is not None]
    table = seed_table(begun, config.arm.replace("-", " "))
    # Seeds that were stopped early would be drawn and averaged as if they had ended there.
    plots: list[str] = []
    if summaries:
        from stopcli.report.saving import save_figures

        with session.stopwatch.part("plots"):
            metrics = [read_metrics(folder.jobs / result.job.name / "metrics.csv") for result in finished]
            written = save_figures(recipe.sweep_figures(config, summaries, metrics), folder.plots)
            plots = [f"plots/{path.name}" for path in written]
    summary = _summarise(config, jobs, results, request)
    summary["run_dir"] = str(folder.path)
    summary["warnings"] += loaded.notes
    summary["seconds"] = session.stopwatch.rounded()
    write_text(folder.path / "table.csv", seed_csv(begun))
    write_text(folder.path / "table.md", table.markdown())
    write_json(folder.summary, summary)
    title = f"{config.command}: {config.arm.replace('-', ' ')}, {config.seeds} seeds"
    made = Made(to_toml(config), environment, loaded.words)
    write_text(folder.report, sweep_report(title, summary, [table], made, plots))
    folder.status.write(summary["state"], summary["reason"], epoch=max((s["epochs"] for s in begun), default=0))
    return summary


def _summarise(
    config: Any, jobs: Sequence[Job[Any]], results: list[JobResult[Any]], request: StopRequest
) -> dict[str, Any]:
    by_name = {result.job.name: result for result in results}
    told = []
    for job in jobs:
        result = by_name.get(job.name)
        summary = (result.summary if result else None) or {}
        told.append(
            {
                "name": job.name,
                "seed": job.config.seed,
                "state": result.state if result else "not begun",
                "reason": result.reason if result else "",
                "epochs": summary.get("epochs", 0),
                "stop": summary.get("stop"),
                "final": summary.get("final"),
                "best": summary.get("best"),
            }
        )
    states = [job["state"] for job in told]
    finished = states.count("finished")
    if finished == len(jobs):
        state, reason = "finished", ""
    elif request.interrupted:
        state, reason = "interrupted", request.words
    elif request.over:
        state, reason = "paused", request.words
    else:
        state, reason = "failed", f"{len(jobs) - finished} of {len(jobs)} runs failed"
    summaries = [r.summary for r in results if r.state == "finished" and r.summary is not None]
    return {
        "command": config.command,
        "name": config.name,
        "state": state,
        "reason": reason,
        "scale": config.scale,
        "dataset": getattr(config, "dataset", config.command),
        "seed": config.seed,
        "seeds": config.seeds,
        "arm": config.arm,
        "finished": finished,
        "jobs": told,
        "over_seeds": {name: _spread(values) for name, values in seed_values(summaries).items()},
        "test_rows_chose": config.validation == "test" and config.checkpoint,
        "warnings": config.warnings(),
    }


def _spread(values: list[float]) -> dict[str, float | int | None]:
    return {
        "n": len(values),
        "mean": statistics.fmean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }
