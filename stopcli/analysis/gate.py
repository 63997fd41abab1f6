"""Whether a new run may take the place of an old one, with three answers: it may, it may not, it cannot be told.

The answer is the interval's, not the mean's. By a two-sided 95 % interval a run that is worse by just the margin passes
in 2.5 % of all cases, as in trials of non-inferiority (G. Piaggio et al., "Reporting of Noninferiority and Equivalence
Randomized Trials", JAMA 2012).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from stopcli.analysis.arms import RunArm, first_run, folder_of
from stopcli.analysis.compare import CompareResults, difference_of, other_test_rows
from stopcli.analysis.compare_rows import BEFORE, OnRows, compare_rows, compare_to_before
from stopcli.analysis.measure import Measure, View
from stopcli.errors import ConfigError, RequestError
from stopcli.quantities import agreeing, counted
from stopcli.runs.predictions import read_predictions
from stopcli.runs.run import Run
from stopcli.stats.differences import Difference, RowsDifference, writer_of_differences
from stopcli.stats.intervals import CONFIDENCE
from stopcli.stopping.rule import Direction

Require = Literal["not-worse", "better"]
MARGIN = "a finite number ≥ 0 in the metric's unit, or a share of the old run's value, such as 1%"
# States whose results a run's models were measured for.
_ENDED = ("finished", "paused")
_STATUS = {True: 0, False: 3, None: 4}


@dataclass(frozen=True)
class Requirement:
    """What a new run has to be against an old one.

    Attributes:
        require: `not-worse`: not worse by more than a margin; `better`: better by more than it.
        by: the margin as it was asked for: `0.01` in the metric's unit, or `1%` of the old run's value.
    """

    require: Require
    by: str = "0"

    def __post_init__(self) -> None:
        if self.require not in ("not-worse", "better"):
            raise ConfigError("require", self.require, "'not-worse' or 'better'")
        self._number()

    def margin(self, old: float) -> float:
        """In the metric's unit, ≥ 0.

        Args:
            old: the old run's value.

        >>> Requirement("better", "5%").margin(-2.0), Requirement("better", "0.5").margin(-2.0)
        (0.1, 0.5)
        """
        return self._number() * abs(old) if self.is_share else self._number()

    @property
    def is_share(self) -> bool:
        return self.by.endswith("%")

    def _number(self) -> float:
        try:
            number = float(self.by.removesuffix("%"))
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise ConfigError("by", self.by, MARGIN)
        return number / 100 if self.is_share else number

    def holds(self, margin: float, low: float, high: float, better: Direction) -> bool | None:
        """Whether it holds for all, or for no difference of an interval; None where it depends.

        Args:
            margin: in the unit of the bounds.
            low, high: bounds of the new value less the old one.
            better: whether less or more of the value is better.

        >>> not_worse, better = Requirement("not-worse"), Requirement("better")
        >>> [not_worse.holds(0.1, low, high, "min") for low, high in [(-0.3, 0.05), (0, 0.2), (0.2, 0.4)]]
        [True, None, False]
        >>> [better.holds(0.1, low, high, "max") for low, high in [(0.2, 0.3), (0, 0.2), (-0.2, 0.1)]]
        [True, None, False]
        """
        least, most = (low, high) if better == "min" else (-high, -low)
        if self.require == "not-worse":
            return True if most <= margin else False if least > margin else None
        return True if most < -margin else False if least >= -margin else None


@dataclass(frozen=True)
class Evidence:
    """How a new run's value differs from an old one's.

    Attributes:
        old: the old run's value; None where it has none.
        difference: the new value less the old one; None where they are not compared.
        bounds: of its 95 % interval; None where there is none.
        basis: what the interval is of, such as `on the same 400 test rows`.
        reason: why there are no bounds, a sentence without a full stop.
    """

    old: float | None
    difference: float | None = None
    bounds: tuple[float, float] | None = None
    basis: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Gate:
    """Whether a requirement holds.

    Attributes:
        margin: in the metric's unit; None where it is a share of a value that is not known.
        holds: None where it cannot be told.
        reason: why the answer is this one, without a full stop.
        sentence: all of it.
    """

    requirement: Requirement
    margin: float | None
    evidence: Evidence
    holds: bool | None
    reason: str
    sentence: str

    @property
    def exit_status(self) -> int:
        """0 where it holds, 3 where it does not, 4 where that cannot be told."""
        return _STATUS[self.holds]

    def to_dict(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        low, high = self.evidence.bounds or (None, None)
        return {
            "require": self.requirement.require,
            "by": self.requirement.by,
            "margin": self.margin,
            "holds": self.holds,
            "difference": self.evidence.difference,
            "low": low,
            "high": high,
            "reason": self.reason,
            "words": self.sentence,
        }


def gate_of(results: CompareResults, requirement: Requirement) -> Gate:
    """Whether what is compared with the base is as the requirement says.

    Raises:
        RequestError: there are more arms than two.
        ConfigError: which direction of the measure is better is not known.
    """
    if len(results.arms) != 2:
        labels = ", ".join(arm.label for arm in results.arms)
        raise RequestError(
            f"--require: received {len(results.arms)} arms ({labels}), expected two: the old one and the new one",
            hint="Several runs count as one arm where they differ only by their seed.",
        )
    measure = results.measure
    if measure.better is None:
        raise ConfigError("mode", "auto", f"'min' or 'max', because neither more nor less of {measure.name} is better")
    (other,) = (arm for arm in results.arms if arm is not results.base)
    new, old = _by_folder(other, results.base)
    view = _view_of(new, old, measure)
    return _decide(requirement, evidence_of(new, old, view, measure), new, old, view, measure)


def _by_folder(new: RunArm, old: RunArm) -> tuple[RunArm, RunArm]:
    """The arms called as their folders are, as the user named them, where that tells them apart."""
    names = [folder_of(first_run(arm)).name for arm in (new, old)]
    return (replace(new, label=names[0]), replace(old, label=names[1])) if len(set(names)) == 2 else (new, old)


def _view_of(new: RunArm, old: RunArm, measure: Measure) -> View:
    """That of the saved model, or of the best epoch, where both have one: not of a refit, which other commands do not
    take in its place."""
    *_, last = (view for view in measure.views if view.name != "refit")
    return last if new.values(last.value) and old.values(last.value) else measure.views[0]


def _decide(
    requirement: Requirement, evidence: Evidence, new: RunArm, old: RunArm, view: View, measure: Measure
) -> Gate:
    margin = None if requirement.is_share and evidence.old is None else requirement.margin(evidence.old or 0.0)
    holds, reason = None, evidence.reason
    if evidence.bounds is not None and margin is not None:
        assert measure.better is not None
        holds = requirement.holds(margin, *evidence.bounds, measure.better)
        reason = _reason(requirement, holds, margin)
    difference = _difference(requirement, margin, evidence, (new.label, old.label), view, measure)
    answers = {
        True: "The requirement holds",
        False: "The requirement does not hold",
        None: "Whether the requirement holds cannot be told",
    }
    return Gate(requirement, margin, evidence, holds, reason, f"{answers[holds]}: {difference}; {reason}.")


def _reason(requirement: Requirement, holds: bool | None, margin: float) -> str:
    required = "worse" if requirement.require == "not-worse" else "better"
    amount = f"{required} by more than the margin" if margin else required
    if holds is None:
        hint = "; a margin, --by, says how much worse would not matter" if required == "worse" and not margin else ""
        return f"the interval has both differences that are {amount} and differences that are not{hint}"
    which = "all of" if holds == (required == "better") else "none of"
    return f"{which} the interval is {amount}"


def _difference(
    requirement: Requirement,
    margin: float | None,
    evidence: Evidence,
    labels: tuple[str, str],
    view: View,
    measure: Measure,
) -> str:
    """What is required, and how the runs differ."""
    new, old = labels
    show, unit = writer_of_differences(measure.headline), f" {measure.unit}" if measure.unit else ""
    what = "not be worse" if requirement.require == "not-worse" else "be better"
    by = ""
    if margin or requirement.is_share:
        share = f"{requirement.by} of {old}'s value" if requirement.is_share else ""
        amount = "" if margin is None else f"{margin:.4g}{unit}"
        by = f" by more than {f'{amount} ({share})' if amount and share else amount or share}"
    required = f"{new} must {what} than {old}{by} in {view.phrase}"
    if evidence.difference is None:
        return required
    differs = f"{required}, and differs by {show(evidence.difference)}{unit}"
    if evidence.bounds is None:
        return differs
    low, high = map(show, evidence.bounds)
    return f"{differs} (95 % interval {low} to {high}, {evidence.basis})"


def evidence_of(new: RunArm, old: RunArm, view: View, measure: Measure) -> Evidence:
    """How a new arm differs from an old one: two single runs by the rows that both were tested on, several seeds by
    what differs over them."""
    value = old.mean(view.value)
    for arm in (new, old):
        # A script reads the answer alone: seeds that failed, or still run, must not make it a better one.
        unfinished = [result.run.state for result in arm.runs if result.run.state not in _ENDED]
        # One that a time budget has paused does not count beside others that have finished.
        unfinished += [result.run.state for result in arm.left_out]
        if unfinished:
            total = len(arm.runs) + len(arm.left_out)
            have = _have(arm, len(unfinished), total, is_whole=total == 1)
            return Evidence(value, reason=f"{have} not finished ({', '.join(sorted(set(unfinished)))})")
    if measure.doubt:
        return Evidence(value, reason=measure.doubt)
    single = len(new.runs) == len(old.runs) == 1
    reason = ""
    if single and new.values(view.value):
        evidence = _on_rows(new, old, view, measure)
        if evidence.bounds is not None:
            return evidence
        reason = evidence.reason
    if not measure.is_cost and (other := _other_rows(new, old)):
        return Evidence(value, reason=reason or other)
    for arm in (new, old):
        without = arm.without(view.value)
        if without:
            # Those that have diverged must not make the answer a better one either.
            have = _have(arm, len(without), len(arm.runs), is_whole=len(without) == len(arm.runs))
            return Evidence(value, reason=f"{have} no {view.phrase}")
    return _over_seeds(new, old, view, reason)


def _have(arm: RunArm, count: int, total: int, *, is_whole: bool) -> str:
    """The beginning of a sentence on some runs of an arm, or on the arm as a whole."""
    if is_whole:
        return f"{arm.label} has"
    return f"{count} of {counted(total, 'run')} of {arm.label} {agreeing(count, 'has', 'have')}"


def _other_rows(new: RunArm, old: RunArm) -> str:
    """Why two arms do not have the same test rows, by their hash, or where that is not on record, by the settings that
    say which they are; empty where they have."""
    rows = [_rows_hash(first_run(arm)) for arm in (new, old)]
    # A copy of a file has another name, and one that has grown the same.
    if all(rows):
        return "" if rows[0] == rows[1] else "the runs have other test rows, or the same in another order"
    settings = other_test_rows(new, old)
    return f"the runs are measured on different test rows ({', '.join(settings)})" if settings else ""


def _rows_hash(run: Run) -> str:
    """The hash of a run's test rows; empty where it is not known."""
    try:
        predictions = read_predictions(run.path / "predictions.npz")
    except RequestError:
        return ""
    return predictions.rows if predictions else ""


def _on_rows(new: RunArm, old: RunArm, view: View, measure: Measure) -> Evidence:
    """Two single runs, on the same test rows; or where the new one was started from the old one's model, on the rows of
    the new one."""
    (ours,), (theirs,) = new.runs, old.runs
    counts = ours.run.headline.column("test")
    if measure.name.startswith("test_") and measure.name != counts:
        reason = f"single runs are compared by rows only in the metric that counts in them, {counts}"
        return Evidence(old.mean(view.value), reason=reason)
    on_rows, reason = compare_rows(ours, theirs, view, measure)
    if on_rows is not None:
        return _of_rows(on_rows, old.mean(view.value), f"on the same {on_rows.rows:,} test rows")
    if not _started_from(ours.run, theirs.run):
        return Evidence(old.mean(view.value), reason=_plain(reason))
    on_rows, value, reason = compare_to_before(ours, view, measure)
    if on_rows is None:
        missing = f"{new.label} was started from {old.label}, which is not known on its test rows"
        return Evidence(value, reason=f"{missing} ({_plain(reason)})" if reason else missing)
    basis = f"on {new.label}'s {on_rows.rows:,} test rows, for which {old.label}'s model was measured ({BEFORE})"
    return _of_rows(on_rows, value, basis)


def _plain(sentence: str) -> str:
    return sentence.removeprefix("The rows are not compared: ").removesuffix(".")


def _of_rows(on_rows: OnRows, old: float | None, basis: str) -> Evidence:
    bounds = (on_rows.low, on_rows.high)
    if not isinstance(on_rows, RowsDifference):
        bounds = outer_bounds(on_rows.mean, bounds, on_rows.standard_error, on_rows.rows)
    return Evidence(old, on_rows.mean, bounds, basis)


def _started_from(new: Run, old: Run) -> bool:
    """Whether a run was started from a model that lies in the other's folder, by its hash."""
    ancestry = new.environment.get("init_from", {})
    name = Path(str(ancestry.get("path", ""))).name
    for path in (old.path / "checkpoints" / one for one in dict.fromkeys((name, "best.keras", "final.keras"))):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == ancestry.get("sha256"):
            return True
    return False


def _over_seeds(new: RunArm, old: RunArm, view: View, reason: str) -> Evidence:
    """Several seeds, paired where they match; of single runs, that there is no interval.

    Args:
        reason: why there is none by rows.
    """
    states_seeds = all(result.run.states_seed for result in (*new.runs, *old.runs))
    difference, _ = difference_of(new.by_seed(view.value), old.by_seed(view.value), paired=states_seeds)
    seeds = f"over {counted(difference.n, 'seed')}" if difference.paired else f"over {difference.sample_size()} seeds"
    bounds = difference.bounds
    if bounds is None:
        few = reason or f"{seeds} there is no interval: three or more tell how much they vary"
        return Evidence(old.mean(view.value), difference.mean, reason=few)
    if _seem_constant(difference):
        few = f"the values of {difference.sample_size()} seeds do not vary, which may be chance"
        return Evidence(old.mean(view.value), difference.mean, basis=seeds, reason=few)
    if difference.paired:
        bounds = outer_bounds(difference.mean, bounds, difference.standard_error or 0.0, difference.n)
    return Evidence(old.mean(view.value), difference.mean, bounds, seeds)


def _seem_constant(difference: Difference) -> bool:
    """Whether nothing varies over so few seeds that this would easily be chance."""
    n = difference.n if difference.paired else min(difference.n, difference.other_n or 0)
    return difference.low == difference.high and 2.0 ** (1 - n) >= 1 - CONFIDENCE


def outer_bounds(mean: float, bounds: tuple[float, float], standard_error: float, n: int) -> tuple[float, float]:
    """The outer ones of a bootstrap's bounds and of Student's.

    The bootstrap alone is too sure of itself where a few rows make most of an error: BCa takes the skewness of what was
    drawn for that of all rows, and moves the bounds the way in which an outlier has already moved the mean.

    Args:
        bounds: the bootstrap's, 95 %.
        n: of how many rows or pairs.
    """
    from scipy.special import stdtrit

    reach = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * standard_error
    return (min(bounds[0], mean - reach), max(bounds[1], mean + reach)) if math.isfinite(reach) else bounds
