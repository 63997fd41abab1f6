"""Which comparisons of a sweep's arms are decided, after how many seeds; and how many more the others need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import SweepResults, reference_of, seeds_in, sweep_arms
from stopcli.configs.auto_seeds import resolve_for
from stopcli.quantities import counted, format_duration
from stopcli.report.document import Table, csv_of
from stopcli.runs.headline import Headline
from stopcli.stats.differences import NONE, differences_by_pair, verdict_on
from stopcli.stats.sequential import (
    MOST_SEEDS,
    AnytimeInterval,
    SeedsNeeded,
    SequentialTest,
    seeds_needed,
    sequential_test,
)
from stopcli.stopping.rule import Direction
from stopcli.sweeps.plan import Job, JobResult, jobs_of_seeds

if TYPE_CHECKING:
    from stopcli.report.drawing import Figures

DECISIONS = "Decisions"
_ONE_LOOK = "The intervals and tests that follow hold for one look; after a look at every seed, only those above do."
# What has ended and will not be trained again.
_ENDED = ("finished", "failed", "died")


@dataclass(frozen=True)
class ComparedValue:
    """What arms are compared by.

    Attributes:
        name: what a run calls it, such as `final_test_error`.
        label: in a sentence, such as `test accuracy of the final model`.
        headline: the metric whose values they are; None of a cost, and of a loss that does not count.
        direction: which is better, `min` or `max`; None where neither is.
        show: writes a difference as text, with its sign.
        as_shown: from what a run has to what is compared.
    """

    name: str
    label: str
    headline: Headline | None
    direction: Direction | None
    show: Callable[[float], str]
    as_shown: Callable[[float], float] = lambda value: value

    @property
    def unit(self) -> str:
        return self.headline.unit if self.headline else ""

    def by_seed(self, arm: RunArm) -> dict[int, float]:
        """The values of an arm's runs that count."""
        return {seed: self.as_shown(value) for seed, value in arm.by_seed(self.name).items()}


@dataclass(frozen=True)
class Decision:
    """A comparison of an arm with the reference.

    Attributes:
        seeds: that both have finished, in their order.
        test: over these seeds; None where there are none.
        seconds: of training that one more seed of both takes, by the mean of those that there are; None where that is
            not known.
    """

    arm: RunArm
    reference: RunArm
    value: ComparedValue
    seeds: tuple[int, ...]
    test: SequentialTest | None
    needed: SeedsNeeded | None
    seconds: float | None

    @property
    def title(self) -> str:
        """What is compared with what."""
        return f"{self.arm.label} against {self.reference.label}"

    @property
    def is_open(self) -> bool:
        """Whether more seeds may decide it: not where no run of the arm finishes."""
        return self.test is not None and self.test.decided is None

    @property
    def verdict(self) -> str:
        """`better` or `worse`, or where neither direction is better, `higher` or `lower`; `equal`, or `undecided`."""
        if self.test is None or self.test.decided is None:
            return "undecided"
        if self.test.outcome == "equal":
            return "equal"
        mean = self.test.looks[self.test.decided - 1].interval.mean
        return verdict_on(mean, self.value.direction, distinguishable=True)

    def sentence(self) -> str:
        """What was decided and when, or what is missing; and how many seeds have failed, of which it says nothing."""
        return self._decided() if self.test is None else f"{self._decided()} {self.failures()}".strip()

    def failures(self) -> str:
        """How many seeds of the two arms have failed, in a sentence; empty where none has."""
        failed = [
            f"{len(arm.failed)} of {counted(arm.planned, 'seed')} of {arm.label}"
            for arm in (self.arm, self.reference)
            if arm.failed
        ]
        return f"{' and '.join(failed)} failed and are not counted." if failed else ""

    def _decided(self) -> str:
        against = self.title
        if self.test is None:
            return f"{against}: no seed has finished in both."
        last, decided = self.test.looks[-1], self.test.decided
        what = f"{self.value.label} {self._amount(last.interval)}"
        if decided is None:
            return f"{against}: undecided after {counted(len(self.seeds), 'seed')}; {what}. {self.more_seeds()}".strip()
        at = self.test.looks[decided - 1]
        what = f"{self.value.label} {self._amount(at.interval)}"
        if self.test.outcome == "equal":
            return (
                f"{against}: equal for practical purposes, decided after {counted(decided, 'seed')}; {what}, within "
                f"± {self._plain(at.margin)}."
            )
        return f"{against}: {self.verdict}, decided after {counted(decided, 'seed')}; {what}."

    def more_seeds(self) -> str:
        """How many more seeds would tell a difference that matters, in a sentence; empty where that is not known."""
        return more_seeds(self.needed, self._plain, self.seconds)

    def _amount(self, interval: AnytimeInterval) -> str:
        unit = f" {self.value.unit}".rstrip()
        mean = f"{self.value.show(interval.mean)}{unit}"
        if interval.bounds is None:
            return mean
        low, high = map(self.value.show, interval.bounds)
        return f"{mean} (anytime-valid 95 % interval {low} to {high})"

    def _plain(self, amount: float) -> str:
        return f"{self.value.show(amount).lstrip('+')} {self.value.unit}".rstrip()

    def cell(self) -> str:
        """What was decided and when, in a table."""
        if self.test is None or self.test.decided is None:
            return "undecided"
        return f"after {counted(self.test.decided, 'seed')}: {self.verdict}"

    def look_rows(self) -> list[dict[str, Any]]:
        """A row for each look, of a CSV file."""
        looks = self.test.looks if self.test is not None else ()
        return [
            {"seed": seed, **look.to_dict(), "outcome": look.outcome}
            for seed, look in zip(self.seeds, looks, strict=True)
        ]

    def row(self) -> tuple[str, ...]:
        """A row of the table of decisions."""
        if self.test is None:
            return (self.arm.label, "0", NONE, NONE, self.verdict, NONE, NONE)
        last, decided, claimed = self.test.looks[-1], self.test.decided, self.test.claimed
        bounds = last.interval.bounds
        return (
            self.arm.label,
            str(len(self.seeds)) + (f" of {self.arm.planned}" if self.failures() else ""),
            self.value.show(last.interval.mean),
            NONE if bounds is None else " to ".join(map(self.value.show, bounds)),
            self.verdict,
            NONE if decided is None else f"after {counted(decided, 'seed')}",
            "no difference" if claimed is None else f"a difference after {counted(claimed, 'seed')}",
        )


def more_seeds(needed: SeedsNeeded | None, show: Callable[[float], str], seconds: float | None) -> str:
    """How many more seeds would tell a difference from none, in a sentence; empty where that is not known.

    Args:
        show: writes an amount as text, with its unit.
        seconds: of training that one more seed takes; None where that is not known.
    """
    if needed is None:
        return ""
    effect, power = f"a difference of {show(needed.effect)}", f"{needed.power:.0%} power"
    if needed.more is None:
        return f"At this spread it would take more than {MOST_SEEDS:,} seeds to tell {effect} ({power})."
    if needed.more == 0:
        return f"These seeds would have told {effect} ({power}), as far as their spread is known."
    least, most = (f"over {MOST_SEEDS:,}" if bound is None else f"{bound:,}" for bound in (needed.low, needed.high))
    duration = "" if seconds is None else f", about {format_duration(needed.more * seconds)} of training"
    return (
        f"At this spread {counted(needed.more, 'more seed')} would tell {effect} ({power}; {least} to {most}, as these "
        f"seeds say little of the spread){duration}."
    )


def decisions_of(config: Any, value: ComparedValue, results: Sequence[JobResult]) -> list[Decision]:
    """Each arm of a sweep against the reference, looked at after every seed.

    Args:
        config: the sweep's.
    """
    arms = sweep_arms(config, results)
    reference = reference_of(config, arms)
    resolve = resolve_for(value.headline, config.resolve)
    return [decide(arm, reference, value, resolve.margin, len(arms) - 1) for arm in arms if arm is not reference]


def decide(
    arm: RunArm, reference: RunArm, value: ComparedValue, margin_of: Callable[[float], float], comparisons: int
) -> Decision:
    """Two arms, looked at after every seed.

    Args:
        margin_of: the smallest difference that matters, from the mean of the reference.
        comparisons: how many are made together.
    """
    ours, theirs = value.by_seed(arm), value.by_seed(reference)
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        return Decision(arm, reference, value, (), None, None, None)
    base = [theirs[seed] for seed in seeds]
    differences = differences_by_pair([ours[seed] for seed in seeds], base)
    margins = [margin_of(sum(base[:n]) / n) for n in range(1, len(base) + 1)]
    test = sequential_test(differences, margins, comparisons=comparisons)
    needed = seeds_needed(differences, margins[-1]) if test.decided is None and margins[-1] > 0 else None
    durations = [of.mean("train_seconds") for of in (arm, reference)]
    known = [seconds for seconds in durations if seconds is not None]
    seconds = sum(known) if len(known) == len(durations) else None
    return Decision(arm, reference, value, seeds, test, needed, seconds)


def next_round(config: Any, value: ComparedValue | None, results: Sequence[JobResult]) -> tuple[Job[Any], ...]:
    """The jobs of one more seed, where every run so far has ended and something is not decided; none where that is all.

    What it says depends on nothing but the runs' results by seed: a sweep that was killed and resumed decides the same.

    Args:
        config: the sweep's.
        results: of all jobs so far.
    """
    seeds = len({result.job.config.seed for result in results})
    if not config.auto_seeds or value is None or seeds >= config.most_seeds:
        return ()
    if any(result.state not in _ENDED for result in results):
        return ()
    if not any(decision.is_open for decision in decisions_of(config, value, results)):
        return ()
    return jobs_of_seeds(config, [config.seed + seeds])


def with_decisions(
    config: Any, value: ComparedValue | None, sweep: SweepResults, results: Sequence[JobResult]
) -> SweepResults:
    """A sweep's results with what was decided after how many seeds, where their number follows from that; of any other
    sweep with arms, how many more seeds would tell what they cannot.

    Args:
        config: the sweep's.
        value: what its arms are compared by; None where it has one arm.
    """
    if value is None or not any(result.state == "finished" for result in results):
        return sweep
    decisions = decisions_of(config, value, results)
    if not config.auto_seeds:
        return replace(sweep, conclusions=(*sweep.conclusions, *_more_seeds(decisions)))
    against = f"difference, against {decisions[0].reference.label}"
    columns = ("arm", "seeds", against, "anytime-valid 95 %", "verdict", "decided", "a plain 95 % would claim")
    looks = [{"arm": decision.arm.name, **row} for decision in decisions for row in decision.look_rows()]
    return replace(
        sweep,
        tables=(*sweep.tables, Table(DECISIONS, columns, tuple(decision.row() for decision in decisions))),
        files={**sweep.files, "decisions.csv": csv_of(looks)} if looks else sweep.files,
        conclusions=(
            _answer(config, decisions, seeds_in(results)),
            *(one.sentence() for one in decisions),
            *((_ONE_LOOK, *sweep.conclusions) if sweep.conclusions else ()),
        ),
        summary={**sweep.summary, "decisions": [_summary(decision) for decision in decisions]},
    )


def _answer(config: Any, decisions: Sequence[Decision], trained: int) -> str:
    """How many comparisons were decided, by how many of the seeds that were trained."""
    most = max(len(decision.seeds) for decision in decisions)
    seeds = counted(most, "seed")
    if most < trained and any(decision.failures() for decision in decisions):
        seeds += f" that finished of {trained} that were trained"
    undecided = sum(decision.verdict == "undecided" for decision in decisions)
    if not undecided:
        every = {1: "The comparison is", 2: "Both comparisons are"}.get(
            len(decisions), f"All {len(decisions)} comparisons are"
        )
        return f"{every} decided after {seeds}."
    of_all = f"{undecided} of {counted(len(decisions), 'comparison')}"
    return f"{of_all} undecided after {seeds}, of {config.max_seeds} at most."


def _more_seeds(decisions: Sequence[Decision]) -> list[str]:
    """Of the comparisons that a number of seeds did not decide, how many more would."""
    several = len(decisions) > 1
    return [
        f"{decision.title}: {sentence}" if several else sentence
        for decision in decisions
        if decision.is_open and (sentence := decision.more_seeds())
    ]


def _summary(decision: Decision) -> dict[str, Any]:
    """What a sweep's summary.json holds of a comparison, in full precision."""
    arms = [arm for arm in (decision.arm, decision.reference) if arm.failed]
    return {
        "arm": decision.arm.name,
        "against": decision.reference.name,
        "value": decision.value.name,
        "verdict": decision.verdict,
        "seeds": list(decision.seeds),
        **({"failed": {arm.name: list(arm.failed) for arm in arms}} if arms else {}),
        **({"test": decision.test.to_dict()} if decision.test is not None else {}),
        "more_seeds": more_seeds_summary(decision.needed),
    }


def more_seeds_summary(needed: SeedsNeeded | None) -> dict[str, int | None] | None:
    """What a summary.json holds of how many more seeds a comparison needs."""
    return None if needed is None else {"more": needed.more, "low": needed.low, "high": needed.high}


def decision_figures(config: Any, value: ComparedValue | None, results: Sequence[JobResult]) -> Figures:
    """How the interval narrowed with the seeds, where their number follows from it."""
    if value is None or not config.auto_seeds:
        return {}
    panels = {decision.title: decision for decision in decisions_of(config, value, results)}
    return figure_of_decisions(panels, value.label)


def figure_of_decisions(panels: Mapping[str, Decision], label: str) -> Figures:
    """How the interval of each comparison narrowed with the seeds; none where no comparison has two.

    Args:
        panels: by their titles.
        label: what is compared.
    """
    tests = {
        title: (decision.arm.index, decision.test)
        for title, decision in panels.items()
        if decision.test is not None and any(look.plain for look in decision.test.looks)
    }
    if not tests:
        return {}

    def draw() -> Any:
        from stopcli.report.decision_curves import decision_curves

        return decision_curves(tests, f"difference of {label}")

    return {"decisions": draw}
