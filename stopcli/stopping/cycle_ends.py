"""Asking a rule at the ends of a learning rate's cycles alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from stopcli.errors import ConfigError
from stopcli.stopping.rule import Metrics, Rule, Verdict


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
