"""Rules joined into one, and rules made again from what was saved of them.

Asking a rule at the ends of a learning rate's cycles alone.

Rules as a user writes them: `gl:2`, `pq:0.75`, `up:3`, `threshold:0.3`, `patience:200`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

from stopcli.errors import ConfigError, MetricError
from stopcli.stopping.patience import Patience
from stopcli.stopping.prechelt import STRIP, GeneralizationLoss, ProgressQuotient, SuccessiveIncreases
from stopcli.stopping.rule import Columns, Metrics, Rule, Verdict
from stopcli.stopping.threshold import NonFinite, Threshold


@dataclass(frozen=True)
class AtCycleEnds(Rule[Any]):
    """A rule that sees every epoch, and is asked whether to stop only at those in which a cycle ends.

    A cyclical learning rate makes a model worse on its way up and better on its way down (L. Smith, arXiv 1506.01186,
    section 4.1), so a rule that stops wherever it likes would often stop at the worst moment of a cycle.

    Args:
        rule: what is asked.
        cycle: updates of a cycle, ≥ 1.
        steps_per_epoch: updates of an epoch, ≥ 1.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind: ClassVar[str] = "at_cycle_ends"

    rule: Rule[Any]
    cycle: int
    steps_per_epoch: int

    def __post_init__(self) -> None:
        for name in ("cycle", "steps_per_epoch"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(name, value, "a whole number ≥ 1")

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

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rule": self.rule.to_dict(),
            "cycle": self.cycle,
            "steps_per_epoch": self.steps_per_epoch,
        }

    def state_to_dict(self, state: Any) -> dict[str, Any]:
        return self.rule.state_to_dict(state)

    def state_from_dict(self, values: Mapping[str, Any]) -> Any:
        return self.rule.state_from_dict(values)


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


EXPECTED = (
    "KIND:VALUE, such as gl:2 (generalization loss, %), pq:0.75 (progress quotient), up:3 (strips that rise), "
    "threshold:0.3, patience:200; pq and up take the epochs of a strip too, as in up:3:10"
)


def parse_rule(text: str, monitor: str = "val_loss", mode: str = "auto", *, setting: str = "stop") -> Rule[Any]:
    """The rule that a text names.

    Args:
        monitor, mode: of `threshold` and `patience`; Prechelt's rules compare val_loss and loss.
        setting: what the text was given as, for the error.

    Raises:
        ConfigError: there is no such rule, or its value is out of its range.
    """
    kind, _, rest = text.partition(":")
    values = rest.split(":") if rest else []
    makers: dict[str, tuple[int, Callable[..., Rule[Any]]]] = {
        "gl": (1, lambda alpha: GeneralizationLoss(float(alpha))),
        "pq": (2, lambda alpha, k=STRIP: ProgressQuotient(float(alpha), int(k))),
        "up": (2, lambda s, k=STRIP: SuccessiveIncreases(int(s), int(k))),
        "threshold": (1, lambda value: Threshold(float(value), monitor, mode)),
        "patience": (1, lambda epochs: Patience(int(epochs), monitor, mode)),
    }
    if kind not in makers or not 1 <= len(values) <= makers[kind][0]:
        raise ConfigError(setting, text, EXPECTED)
    try:
        return makers[kind][1](*values)
    except ValueError:
        raise ConfigError(setting, text, EXPECTED) from None
    except ConfigError as error:
        raise ConfigError(setting, text, f"{error.setting}: {error.expected}") from None
