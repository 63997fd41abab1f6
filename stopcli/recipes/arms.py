"""How far a sweep's runs are, and its rows of jobs.csv, whatever it compares.

What runs that differ by their seed alone say together: a table, and the spread of every value.

What choosing epochs on the test rows would have claimed, over the runs of a sweep, whatever it compares.

What is marked on a run's curves, from its summary.

The figures over runs that differ by their seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from stopcli.analysis.arms import RunArm
from stopcli.quantities import counted, numbered
from stopcli.recipes.base import Recipe, SweepResults
from stopcli.recipes.trained import TrainedConfig
from stopcli.report.document import Table, csv_of, seed_csv, seed_table, seed_values
from stopcli.report.drawing import Figures
from stopcli.report.run_report import arms_summary, arms_table, arms_words
from stopcli.runs.metrics import Columns
from stopcli.runs.summary import RunSummary, Selection
from stopcli.stats.intervals import mean_interval
from stopcli.stopping.combine import rule_of_reason
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.report.curves import Marks


def not_finished(config: Any, results: Sequence[JobResult]) -> str:
    """Which runs of a sweep have not finished, by arm and seed, in a sentence; empty where all have."""
    arms: dict[str, dict[str, list[int]]] = {}
    for result in results:
        if result.state != "finished":
            states = arms.setdefault(config.arm_label(result.job.arm), {})
            states.setdefault(result.state, []).append(result.job.config.seed)
    sentences = []
    for label, states in arms.items():
        parts = [f"{numbered('seed', sorted(seeds))} {state}" for state, seeds in states.items()]
        sentences.append(f"{label} ({', '.join(parts)})")
    return f"Not finished: {'; '.join(sentences)}." if sentences else ""


def runs_table(results: Sequence[JobResult]) -> Table:
    """How far each run of a sweep is, where there are no results yet."""
    rows = []
    for result in results:
        epochs = f"{result.epoch}/{result.epochs}" if result.run.path.exists() else "–"
        rows.append((result.name, result.state, epochs))
    return Table("Results", ("run", "state", "epoch"), tuple(rows))


def moments(arm: RunArm, **names: str) -> dict[str, float | None]:
    """Mean and standard deviation of values of an arm's runs, in full precision: NAME_mean and NAME_sd.

    Args:
        names: by NAME, what the runs call it.
    """
    moments: dict[str, float | None] = {}
    for column, name in names.items():
        interval = arm.interval(name)
        moments[f"{column}_mean"] = interval.mean if interval else None
        moments[f"{column}_sd"] = interval.sd if interval else None
    return moments


def job_row(result: JobResult) -> dict[str, object]:
    """A row of jobs.csv."""
    summary = result.summary
    best = summary.best if summary else None
    return {
        "job": result.job.name,
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.epochs if summary else None,
        "test_accuracy": summary.final.get("test", "accuracy") if summary else None,
        "best_epoch": best.epoch if best else None,
        "best_test_accuracy": best.get("test", "accuracy") if best else None,
        "train_seconds": summary.train_seconds if summary else None,
        "validation_seconds": summary.validation_seconds if summary else None,
        "samples_per_second": summary.samples_per_second if summary else None,
    }


def finished_runs(results: Sequence[JobResult]) -> tuple[list[RunSummary], list[Columns]]:
    """Summaries and metrics of the runs that finished: those that were stopped early would be drawn and averaged as if
    they had ended there."""
    runs = [(result.summary, result.run) for result in results if result.state == "finished"]
    return [summary for summary, _ in runs if summary], [run.metrics for summary, run in runs if summary]


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Number, mean, standard deviation, the mean's bootstrap 95 % interval (from three values on), and range."""
    found = mean_interval(values) if values else None
    return {
        "n": len(values),
        "mean": found.mean if found else None,
        "sd": found.sd if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }


def with_selection(config: Any, found: SweepResults, results: Sequence[JobResult]) -> SweepResults:
    """A sweep's results with those of honest selection, where its finished runs set test rows apart.

    Args:
        config: the sweep's.
    """
    runs = [(result, selection) for result in results if (selection := _selection(result))]
    if not runs:
        return found
    arms: dict[str, list[Selection]] = {}
    for result, selection in runs:
        arms.setdefault(config.arm_label(result.job.arm), []).append(selection)
    return replace(
        found,
        tables=(*found.tables, arms_table(arms)),
        files={**found.files, "selection.csv": csv_of([_row(*run) for run in runs])},
        words=(*found.words, arms_words(arms)),
        summary={**found.summary, "selection": arms_summary(arms)},
    )


def _selection(result: JobResult) -> Selection | None:
    return result.summary.selection if result.state == "finished" and result.summary else None


def _row(result: JobResult, selection: Selection) -> dict[str, object]:
    """A run in selection.csv, in full precision."""
    return {
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "honest_monitor": selection.honest.monitor,
        "honest_epoch": selection.honest.epoch,
        "honest_test_accuracy": selection.honest.test_accuracy,
        "claimed_monitor": selection.claimed.monitor,
        "claimed_epoch": selection.claimed.epoch,
        "claimed_test_accuracy": selection.claimed.test_accuracy,
        "optimism": selection.optimism,
    }


def run_marks(config: TrainedConfig, summary: RunSummary) -> Marks:
    """The stop, the best epoch, the saved one, and the value that a rule compares with."""
    # Where tables alone are made, matplotlib need not be there.
    from stopcli.report.curves import Marks

    stop, best = summary.stop, summary.best
    rule = rule_of_reason(stop.reason)
    words = {
        "completed": "end of training",
        "non_finite": "a metric is not finite",
        "interrupted": "interrupted",
        "time_budget": "paused",
    }
    return Marks(
        stop.epoch,
        f"epoch {stop.epoch}: {words.get(stop.reason, 'stopped by ' + stop.reason)}",
        stop.best_epoch,
        f"epoch {stop.best_epoch}: best {config.monitor}",
        best.epoch if best else 0,
        f"epoch {best.epoch}: saved, best {config.checkpoint_monitor}" if best else "",
        wait=stop.wait if rule is not None and rule.waits else 0,
        level=_level(config),
    )


def _level(config: TrainedConfig) -> tuple[str, float, str] | None:
    for name in ("threshold", "baseline"):
        value = getattr(config, name)
        if value is not None:
            return config.monitor, value, f"{name} {value:g} on {config.monitor}"
    return None


def watched_name(config: TrainedConfig) -> str:
    """What the `val_` metrics were measured on."""
    return "test" if config.validation == "test" else "validation"


class SeedRecipe(Recipe):
    """A recipe whose sweep is one arm with several seeds.

    Attributes:
        shows_best_epochs: whether the figures over seeds also show when the monitored value was best.
    """

    shows_best_epochs: ClassVar[bool] = False

    def title(self, config: Any, dataset: str | None = None) -> str:
        """What the figures are of: the model, its data (as the settings name it, where none is given) and its arm."""
        raise NotImplementedError

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """A row for each seed, and mean and spread over those that finished."""
        runs = [(result.summary, result.state) for result in results if result.summary]
        summaries, states = [summary for summary, _ in runs], [state for _, state in runs]
        finished = [summary for summary, state in runs if state == "finished"]
        arm = config.arm.replace("-", " ")
        return SweepResults(
            f"{config.command}: {arm}, {counted(config.seeds, 'seed')}",
            (seed_table(summaries, states, arm),),
            {"table.csv": seed_csv(summaries, states)},
            summary={"over_seeds": {name: spread(values) for name, values in seed_values(finished).items()}},
        )

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """The curves of all seeds with their spread, where they stopped, and their accuracies."""
        from stopcli.report.curves import seed_curves, seed_points

        summaries, metrics = finished_runs(results)
        values = seed_values(summaries)
        title = f"{self.title(config)}: {counted(len(summaries), 'seed')}"
        epochs = {"stopped at": values["stopped at"]}
        if self.shows_best_epochs:
            epochs[f"best {config.monitor}"] = [summary.stop.best_epoch for summary in summaries]
        accuracies = {"train, final model": values["train accuracy"], "test, final model": values["test accuracy"]}
        if values["saved epoch"]:
            epochs[f"saved (best {config.checkpoint_monitor})"] = values["saved epoch"]
            accuracies["test, saved model"] = values["its test acc."]
        return {
            "curves": lambda: seed_curves(
                metrics, watched_name(config), [summary.epochs for summary in summaries], title
            ),
            "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}", title),
            "accuracies": lambda: seed_points(accuracies, "accuracy", "{:.3f}", title),
        }
