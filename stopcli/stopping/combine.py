"""The registry of rules, from text and from saved options to a rule, and rules made of other rules."""

import functools
import pkgutil
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, NamedTuple

from stopcli.errors import ConfigError, MetricError, did_you_mean
from stopcli.stopping.rule import Columns, Metrics, Rule, Verdict, check_count

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
}


@functools.cache
def rules_by_kind() -> dict[str, type[Rule[Any]]]:
    """Every rule's class."""
    return {kind: pkgutil.resolve_name(name) for kind, name in _RULES.items()}


def rules_by_keyword() -> dict[str, type[Rule[Any]]]:
    """The classes of the rules that have a text, such as `gl:2`."""
    return {rule.keyword: rule for rule in rules_by_kind().values() if rule.keyword}


def rule_examples() -> str:
    """A text of each of them with its meaning, for help and errors."""
    return ", ".join(rule.example for rule in rules_by_keyword().values())


def rule_of_reason(reason: str) -> type[Rule[Any]] | None:
    """The class of the rule whose verdicts have a reason; None for what is not a rule's, such as `completed`."""
    return next((rule for rule in rules_by_kind().values() if reason in dict(rule.sentences)), None)


class AnyOfState(NamedTuple):
    """The states of the joined rules, in their order."""

    states: tuple[Any, ...]


@dataclass(frozen=True)
class AnyOf(Rule[AnyOfState]):
    """Stop when the first of several rules stops; where several do at the same epoch, the first in order is named.

    Args:
        rules: one rule or more.
    """

    kind = "any_of"

    rules: tuple[Rule[Any], ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("rules", self.rules, "one rule or more")
        object.__setattr__(self, "rules", tuple(self.rules))

    @property
    def monitors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.monitors))

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
        return state, replace(verdict, rule=self.describe()) if self.ends_in(epoch) else None

    def describe(self) -> str:
        return f"{self.rule.describe()}, at a cycle's end"

    def progress(self, state: Any) -> str:
        return self.rule.progress(state)

    def state_to_dict(self, state: Any) -> dict[str, Any]:
        return self.rule.state_to_dict(state)

    def state_from_dict(self, values: Mapping[str, Any]) -> Any:
        return self.rule.state_from_dict(values)


def parse_rule(text: str, monitor: str = "val_loss", mode: str = "auto", *, setting: str = "stop") -> Rule[Any]:
    """The rule that a text names.

    Args:
        monitor, mode: of rules that can watch any metric; Prechelt's compare val_loss and loss.
        setting: what the text was given as, for the error.

    Raises:
        ConfigError: there is no such rule, or its value is out of its range.
    """
    keyword, _, rest = text.partition(":")
    rules = rules_by_keyword()
    expected = f"KIND:VALUE, such as {rule_examples()}"
    if keyword not in rules:
        raise ConfigError(setting, text, expected, hint=did_you_mean(keyword, rules))
    try:
        return rules[keyword].from_text(rest.split(":") if rest else [], monitor, mode)
    except ConfigError as error:
        raise ConfigError(setting, text, f"{error.expected} as {error.setting}") from None
    except ValueError:
        raise ConfigError(setting, text, expected) from None
