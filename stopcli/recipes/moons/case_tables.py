"""The published table of the case study, what was published below what was measured, and what follows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stopcli.quantities import counted
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.published import ArmValues
from stopcli.report.document import Table
from stopcli.runs.summary import RunSummary
from stopcli.stats.differences import paired_difference
from stopcli.stats.intervals import MeanInterval, mean_interval, proportion_of

COLUMNS = ("arm", "source", "stopped at", "saved epoch", "train accuracy", "test accuracy")
_VALUES = ("stopped_at", "saved_epoch", "train_accuracy", "test_accuracy")
NONE = "–"


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
        published = values["published"]
        return cls(
            values["name"],
            ArmValues(**values["measured"]),
            ArmValues(**published) if published else None,
            values["ran_out"],
        )


def arms_of_run(summary: RunSummary) -> list[ArmResult]:
    """The arms of a run, from its summary.json."""
    return [ArmResult.from_dict(values) for values in summary.case_study or ()]


def run_case_table(arms: Sequence[ArmResult], seed: int, test_rows: int) -> Table:
    """Each arm of one seed above what was published of it; test accuracies with their binomial 95 % interval."""

    def cells(arm: ArmResult) -> dict[str, str]:
        found = {name: _number(name, value) for name, value in _values(arm.measured).items()}
        if arm.ran_out:
            found["stopped_at"] += " (all)"
        interval = proportion_of(arm.measured.test_accuracy, test_rows)
        if interval:
            found["test_accuracy"] += f" [{interval.low:.3f}, {interval.high:.3f}]"
        return found

    return _table([(arm, f"seed {seed}", cells(arm)) for arm in arms])


def seeds_case_table(runs: Sequence[Sequence[ArmResult]]) -> Table:
    """Each arm over seeds above what was published: mean, standard deviation, from three seeds on a 95 % interval.

    Args:
        runs: the arms of each finished run, in the same order; one run or more.
    """
    rows = []
    for arms in zip(*runs, strict=True):
        cells = {name: _spread(name, found) for name, found in _over_runs(arms).items()}
        rows.append((arms[0], f"mean, n = {len(arms)}", cells))
    return _table(rows)


def _table(measured: Sequence[tuple[ArmResult, str, Mapping[str, str]]]) -> Table:
    rows = []
    for arm, source, cells in measured:
        rows.append((arm.name, source, *(cells.get(name, NONE) for name in _VALUES)))
        if arm.published is not None:
            published = {name: _number(name, value) for name, value in _values(arm.published).items()}
            rows.append((arm.name, "published", *(published.get(name, NONE) for name in _VALUES)))
    return Table("Results", COLUMNS, tuple(rows))


def _values(figures: ArmValues) -> dict[str, float]:
    found = {name: getattr(figures, name) for name in _VALUES}
    return {name: value for name, value in found.items() if value is not None}


def _over_runs(arms: Sequence[ArmResult]) -> dict[str, MeanInterval]:
    """The spread of the values of one arm in several runs, by name."""
    found = [_values(arm.measured) for arm in arms]
    values = {name: [each[name] for each in found if name in each] for name in _VALUES}
    return {name: mean_interval(of) for name, of in values.items() if of}


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if name.endswith("accuracy") else f"{value:.10g}"


def _spread(name: str, found: MeanInterval) -> str:
    form = "{:.3f}" if name.endswith("accuracy") else "{:.0f}"
    sd = "" if found.sd is None else f" ± {form.format(found.sd)}"
    if found.low is None or found.high is None:
        return form.format(found.mean) + sd
    return f"{form.format(found.mean)}{sd} [{form.format(found.low)}, {form.format(found.high)}]"


def seeds_case_summary(runs: Sequence[Sequence[ArmResult]]) -> list[dict[str, Any]]:
    """What a sweep's summary.json holds of the arms, in full precision."""
    return [
        {"name": arms[0].name, "measured": {name: asdict(found) for name, found in _over_runs(arms).items()}}
        for arms in zip(*runs, strict=True)
    ]


def case_rows(seed: int, arms: Sequence[ArmResult]) -> list[dict[str, object]]:
    """The rows of a run in a sweep's table.csv."""
    return [{"seed": seed, "arm": arm.name, **{name: getattr(arm.measured, name) for name in _VALUES}} for arm in arms]


def run_case_words(config: MoonsConfig) -> tuple[str, ...]:
    """What is said below the table of one seed."""
    told = "All arms are read off one training: each is its beginning, up to the epoch at which the arm's rules stop."
    few = "One seed proves little: --seeds 30 gives means with their intervals."
    return (told, *_not_published(config), few)


def seeds_case_words(config: MoonsConfig, runs: Sequence[Sequence[ArmResult]], test_rows: int) -> tuple[str, ...]:
    """What follows over seeds: each arm's test accuracy against that of no stopping.

    Args:
        test_rows: that each accuracy was measured on.
    """
    first, *others = zip(*runs, strict=True)
    told = [_compared(arms, first) for arms in others]
    for arms in others:
        if ran_out := sum(arm.ran_out for arm in arms):
            told.append(
                f"{arms[0].name}: in {ran_out} of {counted(len(arms), 'seed')} it ran all epochs without stopping."
            )
    best = max(statistics.fmean(arm.measured.test_accuracy for arm in arms) for arms in (first, *others))
    interval = proportion_of(best, test_rows)
    if interval:
        told.append(
            f"Seeds share their {test_rows:,} test rows, and what these leave open is in no interval over seeds: for "
            f"{best:.3f} it is {interval.low:.3f} to {interval.high:.3f} (Wilson); --data-seed draws other rows."
        )
    return (*told, *_not_published(config))


def _compared(arms: Sequence[ArmResult], base: Sequence[ArmResult]) -> str:
    pair = paired_difference(*([arm.measured.test_accuracy for arm in each] for each in (arms, base)))
    cost = sum(arm.measured.stopped_at for arm in arms) / sum(arm.measured.stopped_at for arm in base)
    told = pair.sentence(arms[0].name, base[0].name, "test accuracy", "max")
    return f"{told} It takes {cost:.0%} of the epochs."


def _not_published(config: MoonsConfig) -> tuple[str, ...]:
    if not config.unpublished:
        return ()
    changed = ", ".join(f"{name} {getattr(config, name)}" for name in config.unpublished)
    return (f"Nothing was published for {changed}.",)
