"""The registry of rules, from text and from saved options to a rule, and rules made of other rules."""

import functools
import pkgutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, NamedTuple

from stopcli.errors import ConfigError, MetricError, did_you_mean
from stopcli.stopping.rule import (
    Columns,
    MetricRule,
    Metrics,
    Rule,
    State,
    Verdict,
    check_count,
    finite_part,
    mode_warning,
    natural_direction,
)
from stopcli.stopping.smooth import SmoothedRule

# Every rule by its kind. Those with a keyword are listed in this order in help and in figures' legends.
_RULES = {
    "patience": "stopcli.stopping.patience:Patience",
    "generalization_loss": "stopcli.stopping.prechelt:GeneralizationLoss",
    "progress_quotient": "stopcli.stopping.prechelt:ProgressQuotient",
    "strips_up": "stopcli.stopping.prechelt:SuccessiveIncreases",
    "threshold": "stopcli.stopping.threshold:Threshold",
    "non_finite": "stopcli.stopping.threshold:NonFinite",
    "any_of": "stopcli.stopping.combine:AnyOf",
    "at_cycle_ends": "stopcli.stopping.combine:AtCycleEnds",
    "all_of": "stopcli.stopping.combine:AllOf",
    "smoothed": "stopcli.stopping.smooth:SmoothedRule",
}


@functools.cache
def rules_by_kind() -> dict[str, type[Rule[Any]]]:
    """Every rule's class."""
    return {kind: pkgutil.resolve_name(name) for kind, name in _RULES.items()}


def rules_by_keyword() -> dict[str, type[Rule[Any]]]:
    """The classes of the rules that have a text, such as `gl:2`."""
    return {rule.keyword: rule for rule in rules_by_kind().values() if rule.keyword}


# For help, behind the examples.
RULE_METRICS = "@METRIC behind a rule lets it watch another metric: patience:20@val_accuracy."


def rule_examples() -> str:
    """A text of each of them with its meaning, for help."""
    return ", ".join(rule.example for rule in rules_by_keyword().values())


def _expected() -> str:
    """What a rule's text should be, for errors: the examples without their meaning."""
    return "KIND:VALUE, such as " + ", ".join(rule.example.partition(" (")[0] for rule in rules_by_keyword().values())


def rule_of_reason(reason: str) -> type[Rule[Any]] | None:
    """The class of the rule whose verdicts have a reason; None for what is not a rule's, such as `completed`."""
    return next((rule for rule in rules_by_kind().values() if reason in dict(rule.sentences)), None)


@dataclass(frozen=True)
class _RuleGroup(Rule[State]):
    """What the rules that join others have in common.

    Attributes:
        rules: one rule or more.
    """

    rules: tuple[Rule[Any], ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("rules", self.rules, "one rule or more")
        object.__setattr__(self, "rules", tuple(self.rules))

    @property
    def monitors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.monitors))

    @property
    def simple_rules(self) -> tuple[Rule[Any], ...]:
        return tuple(simple for rule in self.rules for simple in rule.simple_rules)


class AnyOfState(NamedTuple):
    """The states of the joined rules, in their order."""

    states: tuple[Any, ...]


@dataclass(frozen=True)
class AnyOf(_RuleGroup[AnyOfState]):
    """Stop when the first of several rules stops; where several do at the same epoch, the first in order is named.

    Args:
        rules: one rule or more.
    """

    kind = "any_of"

    @property
    def parts(self) -> tuple[Rule[Any], ...]:
        return tuple(part for rule in self.rules for part in rule.parts)

    @property
    def earliest_stop(self) -> int:
        return min(rule.earliest_stop for rule in self.rules)

    def init(self) -> AnyOfState:
        return AnyOfState(tuple(rule.init() for rule in self.rules))

    def update(self, state: AnyOfState, epoch: int, metrics: Metrics) -> tuple[AnyOfState, Verdict | None]:
        # Every rule sees every epoch, also after another one fired: its state stays the one that it would have without
        # the others, so that a run that is extended stays right.
        updates = [rule.update(s, epoch, metrics) for rule, s in zip(self.rules, state.states, strict=True)]
        first = next((verdict for _, verdict in updates if verdict is not None), None)
        return AnyOfState(tuple(rule_state for rule_state, _ in updates)), first

    def first_stop(self, columns: Columns) -> Verdict | None:
        try:
            verdicts = [verdict for rule in self.rules if (verdict := rule.first_stop(columns))]
        except MetricError:
            # Another rule may have stopped the run before the values that this one refuses.
            return super().first_stop(columns)
        return min(verdicts, key=lambda verdict: verdict.epoch, default=None)

    def describe(self) -> str:
        return " or ".join(rule.describe() for rule in self.rules)

    def progress(self, state: AnyOfState) -> str:
        texts = (rule.progress(rule_state) for rule, rule_state in zip(self.rules, state.states, strict=True))
        return " ".join(filter(None, texts))

    def state_to_dict(self, state: AnyOfState) -> dict[str, Any]:
        return {"states": [rule.state_to_dict(s) for rule, s in zip(self.rules, state.states, strict=True)]}

    def state_from_dict(self, values: Mapping[str, Any]) -> AnyOfState:
        pairs = zip(self.rules, values["states"], strict=True)
        return AnyOfState(tuple(rule.state_from_dict(saved) for rule, saved in pairs))


class AllOfState(NamedTuple):
    """The states of the joined rules, and the epochs in which they fired; 0 for one that has not yet."""

    states: tuple[Any, ...]
    fired: tuple[int, ...]


@dataclass(frozen=True)
class AllOf(_RuleGroup[AllOfState], MetricRule[AllOfState]):
    """Stop when all of several rules have fired, in the same epoch or one after the other.

    A rule that has fired has fired: it sees no later epoch, and an improvement after it takes nothing back. So the stop
    is that of the last of them, each replayed by itself. The metrics of all rules have to be finite until then, and an
    epoch without one of them is one that none of the rules sees.

    Args:
        rules: one rule or more.

    Raises:
        ConfigError: there is none.
    """

    kind = "all_of"
    keyword = "all"
    example = "'all(patience:20,gl:2)' (stops when all of these have fired; in quotes, for the shell)"
    label = "all of several (all)"
    marker = "X"
    sentences = (("all_of", "each of these rules had fired"),)
    resume_hint = "Other rules train it further, such as --stop none, or an all(…) with other numbers."

    @property
    def earliest_stop(self) -> int:
        return max(rule.earliest_stop for rule in self.rules)

    def init(self) -> AllOfState:
        return AllOfState(tuple(rule.init() for rule in self.rules), (0,) * len(self.rules))

    def decide(self, state: AllOfState, epoch: int, values: Sequence[float]) -> tuple[AllOfState, Verdict | None]:
        metrics = dict(zip(self.monitors, values, strict=True))
        states, fired = list(state.states), list(state.fired)
        for index, rule in enumerate(self.rules):
            if not fired[index]:
                states[index], verdict = rule.update(states[index], epoch, metrics)
                if verdict is not None and verdict.reason == "non_finite":
                    # Of finite values, but beyond float32.
                    return state, verdict
                fired[index] = epoch if verdict is not None else 0
        return AllOfState(tuple(states), tuple(fired)), self._verdict(epoch, fired) if all(fired) else None

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        try:
            verdicts = [verdict for rule in self.rules if (verdict := rule.first_stop(columns))]
        except MetricError:
            # A metric that is not finite may have ended the run before the values that a rule refuses.
            return super().first_stop(columns)
        within = [verdict for verdict in verdicts if verdict.epoch <= epochs]
        if any(verdict.reason == "non_finite" for verdict in within):
            return super().first_stop(columns)
        fired = [verdict.epoch for verdict in within]
        return self._verdict(max(fired), fired) if len(fired) == len(self.rules) else broken

    def _verdict(self, epoch: int, fired: Sequence[int]) -> Verdict:
        pairs = zip(self.rules, fired, strict=True)
        return Verdict(self.kind, " and ".join(f"{rule.describe()} at epoch {at}" for rule, at in pairs), epoch)

    def describe(self) -> str:
        return " and ".join(rule.describe() for rule in self.rules)

    def progress(self, state: AllOfState) -> str:
        waiting = (
            rule.progress(rule_state)
            for rule, rule_state, epoch in zip(self.rules, state.states, state.fired, strict=True)
            if not epoch
        )
        return ", ".join(filter(None, (f"{sum(map(bool, state.fired))}/{len(self.rules)} fired", *waiting)))

    def state_to_dict(self, state: AllOfState) -> dict[str, Any]:
        states = [rule.state_to_dict(s) for rule, s in zip(self.rules, state.states, strict=True)]
        return {"states": states, "fired": list(state.fired)}

    def state_from_dict(self, values: Mapping[str, Any]) -> AllOfState:
        pairs = zip(self.rules, values["states"], strict=True)
        return AllOfState(tuple(rule.state_from_dict(saved) for rule, saved in pairs), tuple(values["fired"]))


def rule_from_dict(values: Mapping[str, Any]) -> Rule[Any]:
    """The rule whose `to_dict` wrote these values.

    Raises:
        ConfigError: the kind or an option is unknown, or an option is out of its range.
    """
    options = {name: _revived(value) for name, value in values.items()}
    kind = options.pop("kind", None)
    classes = rules_by_kind()
    if kind not in classes:
        raise ConfigError("kind", kind, "one of " + ", ".join(classes), hint=did_you_mean(str(kind), classes))
    rule_class: Any = classes[kind]
    known = {field.name: field.default for field in fields(rule_class)}
    for name in sorted(options.keys() - known):
        expected = f"the name of an option of {kind}: {', '.join(known)}"
        raise ConfigError(name, options[name], expected, hint=did_you_mean(name, known))
    missing = [name for name, default in known.items() if default is MISSING and name not in options]
    if missing:
        raise ConfigError("kind", kind, f"{' and '.join(missing)} beside it")
    rule: Rule[Any] = rule_class(**options)
    return rule


def _revived(value: Any) -> Any:
    """An option as it was before it was saved: a rule within a rule, or several."""
    if isinstance(value, list):
        return tuple(map(_revived, value))
    return rule_from_dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class AtCycleEnds(Rule[Any]):
    """A rule that sees every epoch, and may stop only in those in which a cycle ends.

    A cyclical learning rate makes a model worse on its way up and better on its way down (L. Smith, arXiv 1506.01186,
    section 4.1), so a rule that stops wherever it likes would often stop at the worst moment of a cycle.

    Args:
        rule: the rule.
        cycle: updates of a cycle, ≥ 1.
        steps_per_epoch: updates of an epoch, ≥ 1.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind = "at_cycle_ends"

    rule: Rule[Any]
    cycle: int
    steps_per_epoch: int

    def __post_init__(self) -> None:
        check_count("cycle", self.cycle, least=1)
        check_count("steps_per_epoch", self.steps_per_epoch, least=1)

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.rule.monitors

    @property
    def simple_rules(self) -> tuple[Rule[Any], ...]:
        return self.rule.simple_rules

    @property
    def earliest_stop(self) -> int:
        # The first cycle that ends in the rule's first epoch or in a later one.
        cycles = (self.rule.earliest_stop - 1) * self.steps_per_epoch // self.cycle + 1
        return -(-cycles * self.cycle // self.steps_per_epoch)

    def ends_in(self, epoch: int) -> bool:
        """Whether a cycle ends in an epoch: with its last update, or before it."""
        return epoch * self.steps_per_epoch // self.cycle > (epoch - 1) * self.steps_per_epoch // self.cycle

    def init(self) -> Any:
        return self.rule.init()

    def update(self, state: Any, epoch: int, metrics: Metrics) -> tuple[Any, Verdict | None]:
        state, verdict = self.rule.update(state, epoch, metrics)
        if verdict is None or verdict.reason == "non_finite":
            return state, verdict
        return state, replace(verdict, rule=self._described(verdict.rule)) if self.ends_in(epoch) else None

    def _described(self, text: str) -> str:
        return f"{text}, at a cycle's end"

    def describe(self) -> str:
        return self._described(self.rule.describe())

    def progress(self, state: Any) -> str:
        return self.rule.progress(state)

    def state_to_dict(self, state: Any) -> dict[str, Any]:
        return self.rule.state_to_dict(state)

    def state_from_dict(self, values: Mapping[str, Any]) -> Any:
        return self.rule.state_from_dict(values)


def mode_warnings(rules: Iterable[Rule[Any]]) -> list[str]:
    """A warning for each mode of some rules that says the opposite of what the metric's name says."""
    modes = [(rule.monitors[0], getattr(rule, "mode", "auto")) for joined in rules for rule in joined.simple_rules]
    return [warning for metric, mode in dict.fromkeys(modes) if (warning := mode_warning(metric, mode))]


def smoothed(rule: Rule[Any], smooth: float | None) -> Rule[Any]:
    """A rule on smoothed metrics; the rule itself for a smoothing of None or 0."""
    return SmoothedRule(rule, smooth) if smooth else rule


_ALL = "'all(RULE,RULE,…)' with a single pair of parentheses (the shell needs the quotes)"


def parse_rule(
    text: str,
    monitor: str = "val_loss",
    mode: str = "auto",
    smooth: float | None = None,
    *,
    recorded: Collection[str] | None = None,
) -> Rule[Any]:
    """The rule that a text names: `KIND:VALUE`, `KIND:VALUE@METRIC`, or `all(RULE,RULE,…)` of these.

    Args:
        monitor, mode: of rules that can watch any metric; Prechelt's compare val_loss and loss. A metric behind an @
            has the direction that is written behind it (`@val_score:max`), or that of its name, or else `mode`.
        smooth: how much the rule's metrics are smoothed; None or 0 for not at all.
        recorded: the metrics that there are; None where that is not known, or checked later.

    Raises:
        ConfigError: there is no such rule, its value is out of its range, its metric is not recorded, or the direction
            of that is not known.
    """

    def simple(part: str) -> Rule[Any]:
        try:
            return smoothed(_simple_rule(part, monitor, mode, recorded), smooth)
        except ConfigError as error:
            behind = "" if error.setting == "stop" else f" as {error.setting}"
            raise ConfigError("stop", text, f"{error.expected}{behind}", hint=error.hint) from None

    text = text.strip()
    keyword, opened, rest = text.partition("(")
    # Names of metrics may have parentheses too.
    if ":" in keyword or (not opened and keyword != AllOf.keyword):
        return simple(text)
    if keyword != AllOf.keyword:
        hint = "Several rules behind --stop need no word for it: the first that fires counts."
        raise ConfigError("stop", text, _ALL, hint=hint if keyword == "any" else did_you_mean(keyword, ["all"]))
    inner, closed, more = rest.rpartition(")")
    if not closed or more or "(" in inner or ")" in inner:
        raise ConfigError("stop", text, _ALL)
    texts = [part.strip() for part in inner.split(",")]
    if len(texts) < 2 or not all(texts):
        raise ConfigError("stop", text, f"two rules or more: {_ALL}")
    return AllOf(tuple(map(simple, texts)))


def _simple_rule(text: str, monitor: str, mode: str, recorded: Collection[str] | None) -> Rule[Any]:
    """A rule of one kind, with the arguments of `parse_rule`. An error is of the setting `stop`, or of what in the text
    is wrong."""
    head, at, metric = text.partition("@")
    keyword, _, rest = head.partition(":")
    rules = {name: rule for name, rule in rules_by_keyword().items() if rule is not AllOf}
    if keyword not in rules:
        raise ConfigError("stop", text, _expected(), hint=did_you_mean(keyword, rules))
    if at:
        monitor, mode = _metric_of(metric, monitor, mode, recorded)
    try:
        rule = rules[keyword].from_text(rest.split(":") if rest else [], monitor, mode)
    except ValueError:
        raise ConfigError("stop", text, _expected()) from None
    return rule.watching(monitor, mode) if at else rule


def _metric_of(text: str, monitor: str, mode: str, recorded: Collection[str] | None) -> tuple[str, str]:
    """The metric and the mode that stand behind an @, with the errors of `_simple_rule`."""
    metric, _, direction = text.rpartition(":")
    if not metric or direction not in ("auto", "min", "max"):
        # The mode is that of the monitored metric, and of others whose name does not tell.
        metric, direction = text, "auto" if text != monitor and natural_direction(text) else mode
    if not metric or (recorded is not None and metric not in recorded):
        listed = f": {', '.join(recorded)}" if recorded else ", such as val_loss"
        hint = "Test rows choose nothing." if metric.startswith("test_") else did_you_mean(metric, recorded or ())
        raise ConfigError("stop", text, f"a recorded metric behind @{listed}", hint=hint)
    if direction == "auto" and natural_direction(metric) is None:
        raise ConfigError("stop", text, f"@{metric}:min or @{metric}:max: the name does not tell which is better")
    return metric, direction
