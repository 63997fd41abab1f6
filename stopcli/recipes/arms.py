"""How far a sweep's runs are, and its rows of jobs.csv, whatever it compares.

What runs that differ by their seed alone say together: a table, and the spread of every value.

What choosing epochs on the test rows would have claimed, over the runs of a sweep, whatever it compares.

What is marked on a run's curves, from its summary.

The figures over runs that differ by their seed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from stopcli.analysis.arms import RunArm
from stopcli.quantities import counted, numbered
from stopcli.recipes.base import Recipe, SweepResults
from stopcli.recipes.trained import TrainedConfig
from stopcli.report.document import Table, csv_of, seed_csv, seed_table, seed_values
from stopcli.report.drawing import Figures
from stopcli.report.run_report import arms_summary, arms_table, arms_words, selection_of
from stopcli.runs.metrics import Columns
from stopcli.runs.run import training_seconds
from stopcli.stats.intervals import mean_interval
from stopcli.stats.selection import Selection
from stopcli.stopping.combine import rule_of_reason
from stopcli.sweeps.plan import JobResult, read_progress

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
        line = read_progress(result.job, result.path)
        rows.append((result.job.name, result.state, f"{line.epoch}/{line.epochs}" if result.path.exists() else "–"))
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
    summary = result.summary or {}
    final, best = summary.get("final") or {}, summary.get("best") or {}
    return {
        "job": result.job.name,
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.get("epochs"),
        "test_accuracy": (final.get("test") or {}).get("accuracy"),
        "best_epoch": best.get("epoch"),
        "best_test_accuracy": (best.get("test") or {}).get("accuracy"),
        "train_seconds": training_seconds(summary),
        "validation_seconds": summary.get("validation_seconds"),
        "samples_per_second": summary.get("samples_per_second"),
    }


def finished_runs(results: Sequence[JobResult]) -> tuple[list[dict[str, Any]], list[Columns]]:
    """Summaries and metrics of the runs that finished: those that were stopped early would be drawn and averaged as if
    they had ended there."""
    finished = [result for result in results if result.state == "finished" and result.summary is not None]
    return [result.summary or {} for result in finished], [result.metrics() for result in finished]


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
    return selection_of(result.summary) if result.state == "finished" and result.summary else None


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


def run_marks(config: TrainedConfig, summary: Mapping[str, Any]) -> Marks:
    """The stop, the best epoch, the saved one, and the value that a rule compares with."""
    # Where tables alone are made, matplotlib need not be there.
    from stopcli.report.curves import Marks

    stop, best = summary["stop"], summary["best"]
    rule = rule_of_reason(stop["reason"])
    words = {
        "completed": "end of training",
        "non_finite": "a metric is not finite",
        "interrupted": "interrupted",
        "time_budget": "paused",
    }
    return Marks(
        stop["epoch"],
        f"epoch {stop['epoch']}: {words.get(stop['reason'], 'stopped by ' + stop['reason'])}",
        stop["best_epoch"],
        f"epoch {stop['best_epoch']}: best {config.monitor}",
        best["epoch"] if best else 0,
        f"epoch {best['epoch']}: saved, best {config.checkpoint_monitor}" if best else "",
        wait=stop["wait"] if rule is not None and rule.waits else 0,
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

    def title(self, config: Any, dataset: str) -> str:
        """What the figures are of: the model, its data and its arm."""
        raise NotImplementedError

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """A row for each seed, and mean and spread over those that finished."""
        # What an earlier session of a run summed up may be older than how it ended.
        begun = [{**result.summary, "state": result.state} for result in results if result.summary]
        finished = [summary for summary in begun if summary["state"] == "finished"]
        arm = config.arm.replace("-", " ")
        return SweepResults(
            f"{config.command}: {arm}, {counted(config.seeds, 'seed')}",
            (seed_table(begun, arm),),
            {"table.csv": seed_csv(begun)},
            summary={"over_seeds": {name: spread(values) for name, values in seed_values(finished).items()}},
        )

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """The curves of all seeds with their spread, where they stopped, and their accuracies."""
        from stopcli.report.curves import seed_curves, seed_points

        summaries, metrics = finished_runs(results)
        values = seed_values(summaries)
        title = f"{self.title(config, config.dataset)}: {counted(len(summaries), 'seed')}"
        epochs = {"stopped at": values["stopped at"]}
        if self.shows_best_epochs:
            epochs[f"best {config.monitor}"] = [s["stop"]["best_epoch"] for s in summaries]
        accuracies = {"train, final model": values["train accuracy"], "test, final model": values["test accuracy"]}
        if values["saved epoch"]:
            epochs[f"saved (best {config.checkpoint_monitor})"] = values["saved epoch"]
            accuracies["test, saved model"] = values["its test acc."]
        return {
            "curves": lambda: seed_curves(metrics, watched_name(config), [s["epochs"] for s in summaries], title),
            "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}", title),
            "accuracies": lambda: seed_points(accuracies, "accuracy", "{:.3f}", title),
        }
