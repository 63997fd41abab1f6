"""The figures of `stopcli clr`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import sweep_arms, with_seeds
from stopcli.recipes.arms import watched_name
from stopcli.recipes.clr.config import ClrConfig
from stopcli.report.curves import RunGroup
from stopcli.report.drawing import Figures, drawn_name
from stopcli.report.rates import policy_curves, policy_rates
from stopcli.runs.metrics import read_metrics
from stopcli.sweeps.plan import JobResult


def sweep_figures(config: ClrConfig, results: Sequence[JobResult]) -> Figures:
    """The learning rate of every update by policy, and loss and accuracy by epoch, with the cycles shaded."""
    arms = [arm for arm in sweep_arms(config, results) if arm.runs]
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"{config.describe_model()} on {drawn_name(Path(config.dataset).name)}{scale}"
    summaries = [result.summary for result in results if result.state == "finished" and result.summary]
    steps = summaries[0].steps_per_epoch
    cycle = sum(config.cycle_updates(steps)) if config.cyclical else None
    cyclical = [arm.label for arm in arms if arm.config.cyclical]
    curves = [RunGroup(with_seeds(arm, arms), arm.index, [result.run.metrics for result in arm.runs]) for arm in arms]
    return {
        "learning_rate": lambda: policy_rates([_rate(arm) for arm in arms], cycle, cyclical, title),
        "curves": lambda: policy_curves(curves, watched_name(config), None if cycle is None else cycle / steps, title),
    }


def _rate(arm: RunArm) -> RunGroup:
    """Of the arm's longest run: the others have the same, as far as they went."""
    longest = max(arm.runs, key=lambda result: result.cost["updates"])
    return RunGroup(arm.label, arm.index, [read_metrics(longest.run.path / "steps.csv")])
