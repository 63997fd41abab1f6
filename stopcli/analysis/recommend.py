"""Which stopping rule to use, by finished runs: chosen on some of them, and measured on the one that did not choose.

A rule is chosen for its cost and its regret on the runs that there are, so that it looks better on them than it will
on others. How it does on others is measured: each run is left out once, the others choose, and the rule that they
choose is replayed on the run left out.
"""

from __future__ import annotations

import functools
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.analysis.arms import headline_of_runs
from stopcli.analysis.recorded_history import RecordedHistory, Replay
from stopcli.analysis.replay import LabelledRule, ReplayOptions, ReplayResults, replay
from stopcli.errors import ConfigError, RequestError
from stopcli.quantities import first_few
from stopcli.runs.headline import LOSS, rows_of
from stopcli.runs.run import Run
from stopcli.stats.intervals import FEWEST, MeanInterval, mean_interval, runs_to_show
from stopcli.stats.limits import limit_of_losses, student_limits, upper_limit
from stopcli.stopping import Patience
from stopcli.stopping.rule import natural_direction
from stopcli.stopping.smooth import SmoothedRule

Floats = NDArray[np.float64]
Verdict = Literal["firm", "not_firm", "none", "too_few"]

DEFAULT_WITHIN = "1%"
WITHIN = "a share of the best value above 0 and below 100 %, such as 1% or 0.01"
# Of fewer runs, those that choose without one of them are too few for a limit that means something.
FEWEST_RUNS = 5
# Of the folds: where more choose otherwise than all runs do, other runs may as well.
MOST_CHANGES = 0.25
# Rounding of a mean of shares.
_ROUNDING = 1e-9
_PATIENCE_BESIDE = 10
_EXIT_STATUS: dict[Verdict, int] = {"firm": 0, "none": 3, "not_firm": 4, "too_few": 4}


def parse_within(text: str) -> float:
    """The share that `1%` or `0.01` names, in (0, 1).

    Raises:
        ConfigError: it names none.

    >>> parse_within("1%"), parse_within("0.025")
    (0.01, 0.025)
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ConfigError("within", text, WITHIN)
    return share


@dataclass(frozen=True, eq=False)
class RuleCosts:
    """What every rule came to on every run: replayed once, and read for every choice.

    Attributes:
        costs: epochs trained, as a share of those on record, in (0, 1], shape [rules, runs].
        regrets: how much worse the selected epoch is than the best one on record, as a share of that one's value, ≥ 0,
            shape [rules, runs]; infinite where no epoch is selected.
    """

    costs: Floats
    regrets: Floats

    @property
    def n(self) -> int:
        """How many runs there are."""
        return int(self.costs.shape[1])

    def choose(self, runs: NDArray[Any], within: float) -> int | None:
        """The cheapest rule whose mean regret over some runs is within a bound, with its upper limit; of rules that
        cost the same the one with the least regret. None where no rule that stops any of the runs is.

        Args:
            runs: their indices, 3 or more, each once.
        """
        costs, regrets = self.costs[:, runs].mean(axis=1), self.regrets[:, runs]
        means = regrets.mean(axis=1)
        near = np.flatnonzero((costs < 1 - _ROUNDING) & (means <= within))
        # The bootstrap takes its time, and only raises a limit.
        near = near[student_limits(regrets[near]) <= within]
        cheapest_first = near[np.lexsort((means[near], costs[near].round(9)))]
        return next((int(rule) for rule in cheapest_first if upper_limit(regrets[rule]) <= within), None)

    def cost_of(self, rule: int | None, run: int) -> float:
        """Of a rule on a run; of None, which does not stop, the whole run."""
        return 1.0 if rule is None else float(self.costs[rule, run])

    def regret_of(self, rule: int | None, run: int) -> float:
        """The same of its regret."""
        return 0.0 if rule is None else float(self.regrets[rule, run])

    @functools.cached_property
    def size_of_loss(self) -> float:
        """What a run loses that is stopped a little too early: in each run the regret of the last stop that loses
        anything, and of these the mean; 0 where no rule loses anything."""
        lasts = []
        for costs, regrets in zip(self.costs.T, self.regrets.T, strict=True):
            losing = (regrets > 0) & np.isfinite(regrets)
            if losing.any():
                lasts.append(regrets[losing & (costs == costs[losing].max())].min())
        return float(np.mean(lasts)) if lasts else 0.0


@dataclass(frozen=True)
class Expectation:
    """What a rule comes to in some runs.

    Attributes:
        cost: epochs trained, as a share of those on record.
        regret: the mean, as a share of the best value.
        limit: the one-sided 95 % upper limit of that; None for fewer than three runs.
        losing: runs that lose anything.
    """

    cost: MeanInterval
    regret: float
    limit: float | None
    losing: int

    @property
    def n(self) -> int:
        return self.cost.n


def expectation_of(costs: Sequence[float], regrets: Sequence[float], size: float | None = None) -> Expectation:
    """What a rule came to.

    Args:
        costs, regrets: of each run, one or more.
        size: for `limit_of_losses`, of runs that did not choose; None for the limit by which a rule is chosen.
    """
    losses = np.array(regrets, np.float64)
    limit = None
    if len(losses) >= FEWEST:
        limit = upper_limit(losses) if size is None else limit_of_losses(losses, size)
    return Expectation(mean_interval(costs), float(losses.mean()), limit, int((losses > 0).sum()))


@dataclass(frozen=True)
class Fold:
    """What is chosen without some runs, and what it came to on them.

    Attributes:
        label: the experiment of the runs.
        runs: their indices.
        rule: that the others choose, by its index; None where no rule holds the bound on them, and nothing stops.
        costs, regrets: of that rule on the runs left out.
    """

    label: str
    runs: tuple[int, ...]
    rule: int | None
    costs: tuple[float, ...]
    regrets: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Recommendation:
    """The rule that runs choose, and what it comes to on runs that did not choose it.

    Attributes:
        within: the bound of the mean regret, as a share of the best value.
        replayed: the replays.
        runs: those that count, with the label of their experiments, in the order of the columns of `results`.
        results: of the rules, in their order.
        chosen: the rule that all runs choose, by its index; None where no rule holds the bound.
        folds: each run left out; empty for fewer than five.
        without_experiment: each experiment left out, of those without which five runs or more are there to choose.
        warnings: a sentence without a full stop each.
    """

    within: float
    replayed: ReplayResults
    runs: tuple[tuple[str, RecordedHistory], ...]
    results: RuleCosts
    chosen: int | None
    folds: tuple[Fold, ...]
    without_experiment: tuple[Fold, ...]
    warnings: tuple[str, ...]

    @property
    def n(self) -> int:
        return len(self.runs)

    @property
    def metric(self) -> str:
        """The metric that selects, which regret is of."""
        return self.replayed.selecting_rule.monitor

    @property
    def rules(self) -> tuple[LabelledRule, ...]:
        return tuple(LabelledRule(result.label, result.rule) for result in self.replayed.experiments[0].rules)

    @property
    def rule(self) -> LabelledRule | None:
        """The rule that is chosen."""
        return None if self.chosen is None else self.rules[self.chosen]

    @functools.cached_property
    def expected(self) -> Expectation | None:
        """What is to be expected of other runs; None where no run was left out."""
        if not self.folds:
            return None
        costs = [cost for fold in self.folds for cost in fold.costs]
        regrets = [regret for fold in self.folds for regret in fold.regrets]
        return expectation_of(costs, regrets, self.results.size_of_loss)

    def expectation(self, rule: int) -> Expectation:
        """What a rule came to on all runs."""
        return expectation_of(self.results.costs[rule].tolist(), self.results.regrets[rule].tolist())

    @functools.cached_property
    def beside(self) -> dict[str, Expectation]:
        """What is known of a rule without choosing it: patience 10, no stopping, and a stop at the best epoch."""
        options = replace(self.replayed.options, min_delta=(0.0,), smooth=(0.0,))
        label, rule = options.patience_rule(_PATIENCE_BESIDE)
        replays = [history.replay(rule) for _, history in self.runs]
        nothing = [0.0] * self.n
        best = [history.best_epoch(history.epochs) / history.epochs for _, history in self.runs]
        return {
            label: expectation_of([_cost(one) for one in replays], [_regret(one, self.metric) for one in replays]),
            "no stopping": expectation_of([1.0] * self.n, nothing),
            "stop at the best epoch": expectation_of(best, nothing),
        }

    @property
    def choices(self) -> list[tuple[int | None, int]]:
        """The rules that the folds choose, the most frequent first, each with how many do."""
        return Counter(fold.rule for fold in self.folds).most_common()

    @property
    def changes(self) -> int:
        """Folds that choose otherwise than all runs do."""
        return sum(fold.rule != self.chosen for fold in self.folds)

    @property
    def is_unstable(self) -> bool:
        """Whether the choice changes in a large share of the folds."""
        return self.changes > MOST_CHANGES * len(self.folds)

    @property
    def exceeds(self) -> bool:
        """Whether the regret of runs left out may be above the bound."""
        return self.expected is not None and (self.expected.limit or 0.0) > self.within

    @property
    def verdict(self) -> Verdict:
        """Whether a rule is recommended: `firm`; `not_firm`, where runs left out do not bear it out; `none`, where no
        rule holds the bound; `too_few` runs to say."""
        if not self.folds:
            return "too_few"
        if self.chosen is None:
            return "none"
        return "not_firm" if self.exceeds or self.is_unstable else "firm"

    @property
    def exit_status(self) -> int:
        """0 where a rule is firm, 3 where none holds the bound, 4 where that cannot be told."""
        return _EXIT_STATUS[self.verdict]

    @property
    def runs_needed(self) -> int | None:
        """How many runs without a loss it takes to hold the bound; None where some have lost, or these are enough."""
        size = self.results.size_of_loss
        if self.expected is None or self.expected.losing or size <= self.within:
            return None
        needed = runs_to_show(1 - self.within / size)
        return needed if needed > self.n else None


def recommend(paths: Sequence[Path], options: ReplayOptions, within: float) -> Recommendation:
    """The stopping rule that the runs in some folders, or CSV files, recommend.

    Args:
        within: the bound of the mean regret, as a share of the best value, in (0, 1).

    Raises:
        RequestError: as `replay`; or not the same metric counts in the runs and none is named, or the best value of a
            run is 0, of which nothing is a share.
    """
    results = replay(paths, options)
    histories = [(one.label, history) for one in results.experiments for history in one.histories]
    if not (options.monitor or options.select):
        _check_metric([history.run for _, history in histories])
    runs = [(label, history) for label, history in histories if _has_best(history)]
    uncounted = [str(history.run.path) for _, history in histories if not _has_best(history)]
    warnings = [f"left out, because no epoch of it counts: {path}" for path in uncounted]
    metric = results.selecting_rule.monitor
    if rows_of(metric) == "train":
        warnings.append(f"by its name {metric} is of the rows that train, and does not say when to stop")
    costs = rule_costs(results, metric)
    n = len(runs)
    every = np.arange(n)
    chosen = costs.choose(every, within) if n >= FEWEST_RUNS else None
    folds = tuple(fold_without(costs, runs[i][0], [i], within) for i in range(n)) if n >= FEWEST_RUNS else ()
    groups = {label: [i for i in range(n) if runs[i][0] == label] for label, _ in runs}
    without = tuple(
        fold_without(costs, label, group, within) for label, group in groups.items() if n - len(group) >= FEWEST_RUNS
    )
    return Recommendation(within, results, tuple(runs), costs, chosen, folds, without, (*results.warnings, *warnings))


def _check_metric(runs: Sequence[Run]) -> None:
    """Raise RequestError where not the same metric counts in all runs, so that their regrets have no common mean."""
    names: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        headline = headline_of_runs([run])
        if headline is not None:
            names.setdefault((headline.name, headline.direction), []).append(str(run.path))
    if len(names) > 1:
        counting = "; ".join(f"{name} in {first_few(paths)}" for (name, _), paths in names.items())
        raise RequestError(
            f"received runs in which not the same metric counts ({counting}), expected runs of one metric",
            hint="--monitor names a metric that all of them have recorded.",
        )


def rule_costs(results: ReplayResults, metric: str) -> RuleCosts:
    """What every rule came to on every run that has an epoch which counts, run by run in the order of the experiments.

    Raises:
        RequestError: the best value of a run is 0.
    """
    rows = [
        [one for experiment in results.experiments for one in experiment.rules[i].runs]
        for i in range(len(results.experiments[0].rules))
    ]
    replays = [[one for one in row if _has_best(one.history)] for row in rows]
    costs = np.array([[_cost(one) for one in row] for row in replays], np.float64)
    regrets = np.array([[_regret(one, metric) for one in row] for row in replays], np.float64)
    return RuleCosts(costs, regrets)


def _has_best(history: RecordedHistory) -> bool:
    """Whether an epoch of a run counts, so that there is a best value."""
    return history.best_epoch(history.epochs) > 0


def _cost(one: Replay) -> float:
    return one.epoch / one.history.epochs


def _regret(one: Replay, metric: str) -> float:
    """As a share of the best value; infinite where no epoch is selected."""
    regret = one.value("regret")
    if not one.selected or regret is None:
        return math.inf
    if not regret:
        return 0.0
    best = abs(one.values["best_value"])
    if not best:
        raise RequestError(
            f"{one.history.run.path}: its best {metric} is 0, of which no regret is a share",
            hint="--select names another metric.",
        )
    return regret / best


def fold_without(results: RuleCosts, label: str, runs: Sequence[int], within: float) -> Fold:
    """What all other runs choose, and what it came to on these."""
    others = np.setdiff1d(np.arange(results.n), runs)
    rule = results.choose(others, within)
    costs = tuple(results.cost_of(rule, run) for run in runs)
    regrets = tuple(results.regret_of(rule, run) for run in runs)
    return Fold(label, tuple(runs), rule, costs, regrets)


def settings_of(rule: LabelledRule, options: ReplayOptions) -> dict[str, Any]:
    """The settings of a training that a replayed rule is: patience as such, other rules by their text; with the metric
    that they monitor where they do not name it, and its mode where its name does not tell.

    Args:
        options: of the replay.
    """
    smooth, inner = (rule.rule.smooth, rule.rule.rule) if isinstance(rule.rule, SmoothedRule) else (None, rule.rule)
    settings: dict[str, Any]
    if isinstance(inner, Patience):
        settings = {"patience": inner.patience, "min_delta": inner.min_delta or None}
        monitor, mode = inner.monitor, inner.mode
    else:
        settings = {"stop": [rule.label.partition(" β=")[0]]}
        monitor, mode = (options.monitor, options.mode) if options.monitor in inner.monitors else ("", "auto")
    settings |= {"monitor": monitor or None, "mode": mode if monitor and natural_direction(monitor) is None else None}
    return {name: value for name, value in {**settings, "smooth": smooth}.items() if value is not None}


def flags_of(rule: LabelledRule, options: ReplayOptions) -> str:
    """The options of a command that trains by a rule, as they are typed: `--patience 120`, `--stop gl:2`."""
    argv: list[str] = []
    for name, value in settings_of(rule, options).items():
        if (name, value) != ("monitor", LOSS.column("val")):
            texts = value if isinstance(value, list) else [f"{value:g}" if isinstance(value, float) else str(value)]
            argv += [f"--{name.replace('_', '-')}", *texts]
    return shlex.join(argv)
