"""What the epochs of a recorded run come to as they come: whether to stop, and which was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stopcli.errors import ConfigError, MetricError, in_a_line, shown
from stopcli.runs.headline import Headline, base_name, headline_of, rows_of
from stopcli.runs.metrics import Row
from stopcli.stopping.rule import (
    BestEpoch,
    BestState,
    Direction,
    Rule,
    RuleRunner,
    Verdict,
    monitored,
    natural_direction,
    resolve_direction,
)

# A column that no rule reads, and that may have any value.
_RATE = "learning_rate"


def is_readable(name: str) -> bool:
    """Whether a metric may stop a run or choose an epoch: nothing of test rows, nor what is no result."""
    return name != _RATE and rows_of(name) != "test"


def check_names(metrics: Mapping[str, Any], names: Mapping[str, Any], epoch: int, *, strict: bool) -> None:
    """Check the metrics of an epoch. Raises MetricError where there are none, or one cannot be a column's name.

    Args:
        names: those of the epochs before; empty for the first epoch.
        strict: whether they have to be the same. Raises MetricError where one is missing, or new.
    """
    if not metrics:
        raise MetricError(f"epoch {epoch} has no metrics; expected one or more, such as epoch(loss=0.5)")
    for name in metrics:
        if name in ("", "epoch", "step") or not name.isprintable() or {*name} & {*',"'}:
            raise MetricError(f"epoch {epoch}: {name!r} cannot be a metric's name, which heads a column of a CSV file")
    if strict and names:
        expected = f"expected those of the first epoch: {', '.join(names)}"
        for name in names:
            if name not in metrics:
                not_measured = f"{name}=None stands for one that was not measured"
                raise MetricError(f"epoch {epoch} has no metric {name!r}; {expected} ({not_measured})")
        for name in metrics:
            if name not in names:
                raise MetricError(f"epoch {epoch} has a new metric {name!r}; {expected}")


def single_number(name: str, value: Any, epoch: int) -> float | None:
    """A metric's value as a float; None for one that was not measured. Raises MetricError where it is not a single
    number."""
    if value is None:
        return None
    dimensions = getattr(value, "ndim", 0)
    if hasattr(value, "__float__") and not dimensions:
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            received = f"{shown(value)} ({in_a_line(error)})"
    else:
        received = f"an array of shape {tuple(value.shape)}" if dimensions else shown(value)
    raise MetricError(f"epoch {epoch}: {name}: received {received}, expected a single number")


class _Best:
    """The best epoch by a metric so far, with all of its values."""

    def __init__(self, monitor: str, direction: Direction) -> None:
        self._rule, self.state = BestEpoch(monitor, direction), BestState()
        self.monitor = monitor
        self.row: Row = ()

    def update(self, epoch: int, metrics: dict[str, float], row: Row) -> None:
        if self.monitor in metrics:
            state = self._rule.update(self.state, epoch, metrics)
            if state is not self.state:
                self.state, self.row = state, row


class EpochRules:
    """A rule, a check that metrics are finite, and the best epochs, over the epochs of a run.

    With rows in which a metric was not measured, a rule skips those without its metrics; of the rules in an `AnyOf`,
    only those skip that lack theirs.

    Args:
        rule: when to stop; None for none.
        headline: the metric that counts; None for that of the rule, or else the first one that is recorded.
        unit: of a headline that is not given.

    Attributes:
        verdict: why training stops; None as long as nothing stops it.
        best: the best epoch by the headline; by the rule's metric where no other headline was given.
        best_by_rule: the best epoch by the rule's metric; `best` where there is no rule.

    Raises:
        ConfigError: the rule reads a metric of test rows.
    """

    def __init__(self, rule: Rule[Any] | None, headline: Headline | None, unit: str) -> None:
        self._runners = [] if rule is None else [RuleRunner(part) for part in rule.parts]
        self._awaited = dict.fromkeys(() if rule is None else rule.monitors)
        for name in self._awaited:
            if not is_readable(name):
                expected = "a rule on the rows that train (rmse) or that validate (val_rmse): test rows choose nothing"
                raise ConfigError("rule", name, expected)
        self._unit, self._monitor = unit, _monitor_of(rule)
        self._follows_rule = headline is None and self._monitor is not None
        self.headline = headline_of(*self._monitor, unit) if headline is None and self._monitor else headline
        self.verdict: Verdict | None = None
        self.best = self.best_by_rule = _Best("", "min")
        self._readable: list[int] = []
        self._of_headline: list[str] = []

    def set_names(self, names: Sequence[str]) -> None:
        """Say which metrics are recorded: in the first epoch, and when there are more.

        Raises:
            MetricError: the headline is not among them, or none of them can be one.
        """
        self._readable = [i for i, name in enumerate(names) if is_readable(name)]
        if self.headline is None:
            self.headline = _first_headline(names, self._unit)
        headline = self.headline
        if all(base_name(name) != headline.name for name in names) and not self._follows_rule:
            raise MetricError(f"no metric is {headline.name!r} or val_{headline.name}; recorded: {', '.join(names)}")
        self._of_headline = [name for name in names if base_name(name) == headline.name]
        best = self._monitor if self._follows_rule else _choosing(headline, names)
        best = best or self._monitor
        if best is not None and best[0] != self.best.monitor:
            self.best = _Best(*best)
        by_rule = self._monitor or best
        if by_rule is None or by_rule == best:
            self.best_by_rule = self.best
        elif by_rule[0] != self.best_by_rule.monitor:
            self.best_by_rule = _Best(*by_rule)

    def check_monitors(self, metrics: Sequence[str], epoch: int, *, validated: bool) -> list[str]:
        """Find out that a metric which the rule reads will never come, as early as that can be known.

        Args:
            metrics: of the epoch.
            validated: whether those of the rows that validate are among them.

        Returns:
            The metrics that may still come: those of validation, of an epoch without it.

        Raises:
            MetricError: one of them is missing.
        """
        for name in [name for name in self._awaited if name in metrics]:
            del self._awaited[name]
        for name in self._awaited:
            if validated or rows_of(name) != "val":
                monitored(dict.fromkeys(metrics), name, epoch)
        return list(self._awaited)

    def update(self, epoch: int, names: Sequence[str], row: Row) -> None:
        """Take an epoch, counted from 1."""
        for i in self._readable:
            value = row[i]
            if value is not None and not math.isfinite(value):
                self.verdict = Verdict("non_finite", f"{names[i]} is {value}", epoch)
                return
        metrics = {name: value for name, value in zip(names, row, strict=True) if value is not None}
        if self.headline is not None:
            self.headline = self.headline.seen_in(metrics[name] for name in self._of_headline if name in metrics)
        self.best.update(epoch, metrics, row)
        if self.best_by_rule is not self.best:
            self.best_by_rule.update(epoch, metrics, row)
        for runner in self._runners:
            if all(name in metrics for name in runner.rule.monitors):
                verdict = runner.update(epoch, metrics)
                # Every rule sees every epoch that it can; of several that stop at one, the first is named.
                self.verdict = self.verdict or verdict


def _monitor_of(rule: Rule[Any] | None) -> tuple[str, Direction] | None:
    """The first metric that a rule reads whose direction is known; None for none."""
    for part in () if rule is None else rule.simple_rules:
        for name in part.monitors:
            mode = getattr(part, "mode", "auto") if getattr(part, "monitor", None) == name else "auto"
            if mode != "auto":
                return name, resolve_direction(name, mode)
            if (direction := natural_direction(name)) is not None:
                return name, direction
    return None


def _first_headline(names: Sequence[str], unit: str) -> Headline:
    """The first of some metrics whose direction is known, a loss only where there is no other. Raises MetricError where
    there is none."""
    known = [headline for name in names if (headline := headline_of(name, unit=unit)) is not None]
    others = [headline for headline in known if headline.name.rsplit("_", 1)[-1] != "loss"]
    if not known:
        raise MetricError(
            f"the names of the metrics do not tell whether lower or higher is better: {', '.join(names)}; expected "
            "Recorder(headline=NAME, mode='min' or 'max')"
        )
    return (others or known)[0]


def _choosing(headline: Headline, names: Sequence[str]) -> tuple[str, Direction] | None:
    """The column whose best epoch is the best, and its direction: that of the headline on the rows that validate, else
    on those that train. Where it is on record of test rows only, which choose nothing, it is that of the first other
    metric whose direction is known; None for none."""
    readable = [name for name in names if is_readable(name)]
    own = [name for name in readable if base_name(name) == headline.name]
    if own:
        return next((name for name in own if rows_of(name) == "val"), own[0]), headline.direction
    for name in readable:
        if (direction := natural_direction(name)) is not None:
            return name, direction
    return None
