"""The figures of `stopcli clr`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stopcli.analysis.arms import RunArm, sweep_arms, with_seeds
from stopcli.recipes.arms import finished_runs, watched_name
from stopcli.recipes.clr.config import ClrConfig
from stopcli.report.curves import RunGroup
from stopcli.report.drawing import Figures, drawn_name
from stopcli.report.rates import policy_curves, policy_rates
from stopcli.runs.metrics import read_metrics
from stopcli.sweeps.plan import JobResult


def sweep_figures(config: ClrConfig, results: Sequence[JobResult]) -> Figures:
    """The learning rate of every update by policy, and loss and accuracy by epoch, with the cycles shaded."""
    finished = [result for result in results if result.state == "finished" and result.summary]
    summaries, _ = finished_runs(finished)
    arms = [arm for arm in sweep_arms(config, results) if arm.runs]
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"{config.describe_model()} on {drawn_name(Path(config.dataset).name)}{scale}"
    steps = summaries[0].steps_per_epoch
    cycle = sum(config.cycle_updates(steps)) if config.cyclical else None
    cyclical = [arm.label for arm in arms if arm.config.cyclical]
    return {
        "learning_rate": lambda: policy_rates([_rate(arm, finished) for arm in arms], cycle, cyclical, title),
        "curves": lambda: policy_curves(
            [_curves(arm, with_seeds(arm, arms), finished) for arm in arms],
            watched_name(config),
            None if cycle is None else cycle / steps,
            title,
        ),
    }


def _rate(arm: RunArm, finished: Sequence[JobResult]) -> RunGroup:
    """Of the arm's longest run: the others have the same, as far as they went."""
    of_arm = [result for result in finished if result.job.arm == arm.name]
    longest = max(of_arm, key=lambda result: result.summary.steps if result.summary else 0)
    steps = read_metrics(longest.run.path / "steps.csv")
    return RunGroup(arm.label, arm.index, [steps])


def _curves(arm: RunArm, label: str, finished: Sequence[JobResult]) -> RunGroup:
    _, metrics = finished_runs([result for result in finished if result.job.arm == arm.name])
    return RunGroup(label, arm.index, metrics)
