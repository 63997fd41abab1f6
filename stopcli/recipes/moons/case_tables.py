"""The table of the case study, what was published below what was measured, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stopcli.analysis.arms import Arm, SeedValues, difference
from stopcli.analysis.sweep import SweepResults
from stopcli.quantities import counted
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.published import ArmValues
from stopcli.report.document import Table, csv_of
from stopcli.runs.summary import RunSummary
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import proportion_of

COLUMNS = ("arm", "source", "stopped at", "saved epoch", "train accuracy", "test accuracy")


@dataclass(frozen=True)
class ArmResult:
    """An arm as a run measured it.

    Attributes:
        published: None where the settings are not those of the published study.
        ran_out: whether its rule never fired within the epochs.
    """

    name: str
    measured: ArmValues
    published: ArmValues | None
    ran_out: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ArmResult:
        """What a run's summary.json holds of it."""
        measured, published = (values[key] and ArmValues(**values[key]) for key in ("measured", "published"))
        return cls(values["name"], measured, published, values["ran_out"])


def arms_of_run(summary: RunSummary) -> list[ArmResult]:
    """The arms of a run, from its summary.json."""
    return [ArmResult.from_dict(values) for values in summary.case_study or ()]


def run_case_table(arms: Sequence[ArmResult], seed: int, test_rows: int) -> Table:
    """Each arm of one seed above what was published of it; test accuracies with their binomial 95 % interval."""
    rows = []
    for arm in arms:
        cells = _cells(arm.measured)
        if arm.ran_out:
            cells["stopped_at"] += " (all)"
        interval = proportion_of(arm.measured.test_accuracy, test_rows)
        if interval:
            cells["test_accuracy"] += f" [{interval.low:.3f}, {interval.high:.3f}]"
        rows += _rows(arm, f"seed {seed}", cells)
    return Table("Results", COLUMNS, tuple(rows))


def _rows(arm: ArmResult, source: str, measured: Mapping[str, str]) -> list[tuple[str, ...]]:
    rows = [(arm.name, source, *measured.values())]
    return rows + ([(arm.name, "published", *_cells(arm.published).values())] if arm.published else [])


def _cells(values: ArmValues) -> dict[str, str]:
    return {name: NONE if value is None else _show(name, "{:.10g}")(value) for name, value in asdict(values).items()}


def _show(name: str, epochs: str) -> Callable[[float], str]:
    return ("{:.3f}" if name.endswith("accuracy") else epochs).format


def seeds_case_results(config: MoonsConfig, runs: Mapping[int, Sequence[ArmResult]], test_rows: int) -> SweepResults:
    """Each arm over seeds above what was published: mean, standard deviation, from three seeds on a 95 % interval.

    Args:
        runs: the arms of each finished run, by seed, in the same order; one run or more.
        test_rows: that each accuracy was measured on.
    """
    rows, summary, arms = [], [], []
    for of_seeds in zip(*runs.values(), strict=True):
        values = zip(runs, of_seeds, strict=True)
        arm = Arm(of_seeds[0].name, tuple(SeedValues(seed, asdict(result.measured)) for seed, result in values))
        intervals = {name: arm.interval(name) for name in asdict(of_seeds[0].measured)}
        cells = {
            name: interval.cell(_show(name, "{:.0f}")) if interval else NONE for name, interval in intervals.items()
        }
        rows += _rows(of_seeds[0], f"mean, n = {len(runs)}", cells)
        measured = {name: asdict(interval) for name, interval in intervals.items() if interval}
        summary.append({"name": arm.label, "measured": measured})
        arms.append(arm)
    return SweepResults(
        f"moons: case study, {counted(config.seeds, 'seed')}",
        (Table("Results", COLUMNS, tuple(rows)),),
        {
            "table.csv": csv_of(
                [
                    {"seed": seed, "arm": result.name, **asdict(result.measured)}
                    for seed, results in runs.items()
                    for result in results
                ]
            )
        },
        (*_conclusions(arms, list(runs.values()), test_rows), *_not_published(config)),
        {"case_study": summary},
    )


def _conclusions(arms: Sequence[Arm[SeedValues]], runs: Sequence[Sequence[ArmResult]], test_rows: int) -> list[str]:
    """What follows over seeds: each arm's test accuracy against that of no stopping."""
    base, *others = arms
    sentences = []
    for arm in others:
        gain = difference(arm, base, "test_accuracy")
        cost = sum(arm.values("stopped_at")) / sum(base.values("stopped_at"))
        assert gain is not None
        sentence = gain.sentence(arm.label, base.label, "test accuracy", "max")
        sentences.append(f"{sentence} It takes {cost:.0%} of the epochs.")
    for i, arm in enumerate(arms):
        if ran_out := sum(run[i].ran_out for run in runs):
            sentences.append(
                f"{arm.label}: in {ran_out} of {counted(len(runs), 'seed')} it ran all epochs without stopping."
            )
    best = max(arm.mean("test_accuracy") or 0.0 for arm in arms)
    interval = proportion_of(best, test_rows)
    if interval:
        sentences.append(
            f"Seeds share their {test_rows:,} test rows, and what these leave open is in no interval over seeds: for "
            f"{best:.3f} it is {interval.low:.3f} to {interval.high:.3f} (Wilson); --data-seed draws other rows."
        )
    return sentences


def run_case_conclusions(config: MoonsConfig) -> tuple[str, ...]:
    """What is said below the table of one seed."""
    first = "All arms are read off one training: each is its beginning, up to the epoch at which the arm's rules stop."
    few = "One seed proves little: --seeds 30 gives means with their intervals."
    return (first, *_not_published(config), few)


def _not_published(config: MoonsConfig) -> tuple[str, ...]:
    if not config.unpublished:
        return ()
    changed = ", ".join(f"{name} {getattr(config, name)}" for name in config.unpublished)
    return (f"Nothing was published for {changed}.",)
