"""The recipe of `stopcli clr`: policies of the learning rate against each other and against a fixed rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stopcli.analysis.arm_results import (
    arm_conclusions,
    arm_values,
    arms_table,
    classes_by_arm,
    compared_by_headline,
    measure_of_arms,
)
from stopcli.analysis.arms import RunArm
from stopcli.analysis.decisions import ComparedValue
from stopcli.analysis.sweep import SweepResults, job_row, reference_of, seeds_in, sweep_arms, with_seeds
from stopcli.quantities import counted
from stopcli.recipes.base import SeedRecipe, val_rows
from stopcli.recipes.images import Classifier
from stopcli.report.document import csv_of
from stopcli.report.drawing import Figures, drawn_name
from stopcli.runs.metrics import read_metrics
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.report.curves import RunGroup


class PolicyComparison(SeedRecipe):
    """What runs under several policies of the learning rate say together, whatever their model."""

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """A row for each policy, with mean and standard deviation over its seeds, and its paired differences to the
        reference; F1 by class of each. All values are of the test rows; where there are none, of those that
        validate, or that train."""
        arms = sweep_arms(config, results)
        base = reference_of(config, arms)
        final, measure = "restored" if config.restore_best else "final", measure_of_arms(config.headline, results)
        values = [arm_values(arm, base, measure, "policy") for arm in arms]
        by_class = classes_by_arm(arms, results, "saved model" if config.checkpoint else "final model")
        labels = ", ".join(arm.label for arm in arms)
        return SweepResults(
            f"clr: {config.describe_model()}, {labels}, {counted(seeds_in(results), 'seed')}",
            (arms_table(arms, base, measure, "policy", final), *([by_class] if by_class else [])),
            {
                "table.csv": csv_of(values),
                "jobs.csv": csv_of([job_row(result, measure.headline) for result in results]),
                **({"classes.csv": by_class.csv()} if by_class else {}),
            },
            arm_conclusions(arms, base, measure, "policy", f"{final} model"),
            {"arms": values},
        )

    def compared_value(self, config: Any, results: Sequence[JobResult]) -> ComparedValue | None:
        return compared_by_headline(config, results) if len(config.arms()) > 1 else None

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """The learning rate of every update by policy, and loss and the metric that counts by epoch, with the cycles
        shaded."""
        from stopcli.report.arm_curves import policy_curves, policy_rates
        from stopcli.report.curves import RunGroup

        arms = [arm for arm in sweep_arms(config, results) if arm.runs]
        scale = " (quick scale)" if config.scale == "quick" else ""
        title = f"{' on '.join(map(drawn_name, config.subject))}{scale}"
        summaries = [result.summary for result in results if result.state == "finished" and result.summary]
        steps = next(filter(None, (summary.steps_per_epoch for summary in summaries)))
        cycle = sum(config.cycle_updates(steps)) if config.cyclical else None
        cyclical = [arm.label for arm in arms if arm.config.cyclical]
        curves = [
            RunGroup(with_seeds(arm, arms), arm.index, [result.run.metrics for result in arm.runs]) for arm in arms
        ]
        return {
            "learning_rate": lambda: policy_rates([_rate(arm) for arm in arms], cycle, cyclical, title),
            "curves": lambda: policy_curves(
                curves, val_rows(config), None if cycle is None else cycle / steps, title, config.headline
            ),
        }


class Clr(PolicyComparison, Classifier):
    """Policies of the learning rate against each other and against a fixed rate."""


def _rate(arm: RunArm) -> RunGroup:
    """Of the arm's longest run: the others have the same, as far as they went."""
    from stopcli.report.curves import RunGroup

    longest = max(arm.runs, key=lambda result: result.cost["updates"])
    return RunGroup(arm.label, arm.index, [read_metrics(longest.run.path / "steps.csv")])
