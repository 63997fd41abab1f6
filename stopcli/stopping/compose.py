"""Rules joined into one, and rules made again from what was saved of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from stopcli.errors import ConfigError, MetricError
from stopcli.stopping.cycle_ends import AtCycleEnds
from stopcli.stopping.limits import NonFinite, Threshold
from stopcli.stopping.patience import Patience
from stopcli.stopping.prechelt import GeneralizationLoss
from stopcli.stopping.rule import Columns, Metrics, Rule, Verdict
from stopcli.stopping.strips import ProgressQuotient, SuccessiveIncreases


class AnyOfState(NamedTuple):
    """The states of the joined rules, in their order."""

    states: tuple[Any, ...]


@dataclass(frozen=True)
class AnyOf(Rule[AnyOfState]):
    """Stop when the first of several rules stops; where several do at the same epoch, the first in order is named.

    Args:
        rules: one rule or more.
    """

    kind: ClassVar[str] = "any_of"

    rules: tuple[Rule[Any], ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("rules", self.rules, "one rule or more")
        object.__setattr__(self, "rules", tuple(self.rules))

    @property
    def monitors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.monitors))

    @property
    def earliest_stop(self) -> int:
        return min(rule.earliest_stop for rule in self.rules)

    def init(self) -> AnyOfState:
        return AnyOfState(tuple(rule.init() for rule in self.rules))

    def update(self, state: AnyOfState, epoch: int, metrics: Metrics) -> tuple[AnyOfState, Verdict | None]:
        first = None
        states = []
        # Every rule sees every epoch, also after another one fired: the state stays the one that the rule would have
        # alone, so a run that is extended goes on rightly.
        for rule, rule_state in zip(self.rules, state.states, strict=True):
            rule_state, verdict = rule.update(rule_state, epoch, metrics)
            states.append(rule_state)
            first = first or verdict
        return AnyOfState(tuple(states)), first

    def first_stop(self, columns: Columns) -> Verdict | None:
        try:
            verdicts = [verdict for rule in self.rules if (verdict := rule.first_stop(columns))]
        except MetricError:
            # Another rule may have stopped the run before there was anything to complain of.
            return super().first_stop(columns)
        return min(verdicts, key=lambda verdict: verdict.epoch, default=None)

    def describe(self) -> str:
        return " or ".join(rule.describe() for rule in self.rules)

    def progress(self, state: AnyOfState) -> str:
        texts = (rule.progress(rule_state) for rule, rule_state in zip(self.rules, state.states, strict=True))
        return " ".join(filter(None, texts))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "rules": [rule.to_dict() for rule in self.rules]}

    def state_to_dict(self, state: AnyOfState) -> dict[str, Any]:
        return {"states": [rule.state_to_dict(s) for rule, s in zip(self.rules, state.states, strict=True)]}

    def state_from_dict(self, values: Mapping[str, Any]) -> AnyOfState:
        pairs = zip(self.rules, values["states"], strict=True)
        return AnyOfState(tuple(rule.state_from_dict(saved) for rule, saved in pairs))


_KINDS: dict[str, type[Rule[Any]]] = {
    rule.kind: rule
    for rule in (
        Patience,
        Threshold,
        NonFinite,
        AnyOf,
        AtCycleEnds,
        GeneralizationLoss,
        ProgressQuotient,
        SuccessiveIncreases,
    )
}


def rule_from_dict(values: Mapping[str, Any]) -> Rule[Any]:
    """The rule whose `to_dict` wrote these values.

    Raises:
        ConfigError: the kind or an option is unknown, or an option is out of its range.
    """
    options = dict(values)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise ConfigError("kind", kind, "one of " + ", ".join(_KINDS))
    if kind == AnyOf.kind:
        return AnyOf(tuple(rule_from_dict(rule) for rule in options.get("rules", ())))
    rule_class: Any = _KINDS[kind]
    if kind == AtCycleEnds.kind and isinstance(options.get("rule"), Mapping):
        options["rule"] = rule_from_dict(options["rule"])
    unknown = options.keys() - {field.name for field in fields(rule_class)}
    if unknown:
        raise ConfigError(sorted(unknown)[0], options[sorted(unknown)[0]], f"no such option of {kind}")
    try:
        rule: Rule[Any] = rule_class(**options)
    except TypeError as error:
        raise ConfigError("kind", kind, f"all of its options ({error})") from None
    return rule
