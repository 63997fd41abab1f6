"""The settings of the learning rate and the momentum, and how they move."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from stopcli.configs.base import Count, Natural, NonNegative, Option
from stopcli.configs.epochs import OptimizerSettings
from stopcli.configs.training import TrainingConfig
from stopcli.errors import ConfigError
from stopcli.quantities import counted
from stopcli.schedules.policy import POLICY_NAMES, Policy, policies
from stopcli.schedules.step_decay import parse_drops
from stopcli.stopping.combine import AtCycleEnds
from stopcli.stopping.rule import Rule

if TYPE_CHECKING:
    LearningRatePolicy = str
else:
    LearningRatePolicy = Literal[POLICY_NAMES]
CyclicModeName = Literal["triangular", "triangular2", "exp_range"]
# Beyond this a float32 would overflow with any gradient.
Rate = Annotated[float, Gt(0), Le(1e6)]
Momentum = Annotated[float, Ge(0), Lt(1)]
StopAt = Literal["epoch", "cycle-end"]
# Epochs that would end with a cycle are named where they are no more than so many times those that were asked for.
MOST_TIMES = 3


SgdMomentum = Annotated[
    Momentum, Option("sgd: its momentum, in [0, 1).", "Training", ("range", "network"), used_with=("optimizer", "sgd"))
]
Nesterov = Annotated[
    bool, Option("sgd: Nesterov's momentum.", "Training", ("range", "network"), used_with=("optimizer", "sgd"))
]


@dataclass(frozen=True, kw_only=True)
class LearningRateConfig(TrainingConfig, OptimizerSettings):
    """Training with a learning rate that moves; `learning_rate` is what it starts from (of `clr`: base_lr)."""

    lr_policy: Annotated[LearningRatePolicy, Option("How the learning rate moves.", "Learning rate", common=True)] = (
        "step"
    )
    lr_drops: Annotated[
        str,
        Option(
            "step: after so many epochs the rate is FACTOR times the first; auto: the published drops, scaled.",
            "Learning rate",
            metavar="auto|EPOCHS:FACTOR,…",
        ),
    ] = "auto"
    lr_min: Annotated[NonNegative, Option("cosine, plateau: the lowest rate, ≥ 0.", "Learning rate")] = 0.0
    lr_warmup: Annotated[Natural, Option("cosine: epochs over which the rate rises from 0, ≥ 0.", "Learning rate")] = 0
    lr_factor: Annotated[
        Annotated[float, Gt(0), Lt(1)], Option("plateau: the rate is multiplied by this, in (0, 1).", "Learning rate")
    ] = 0.1
    lr_patience: Annotated[
        Count, Option("plateau: epochs without an improvement of --monitor, ≥ 1.", "Learning rate")
    ] = 10
    base_lr: Annotated[NonNegative, Option("clr: the lowest rate, ≥ 0.", "Learning rate")] = 1e-7
    max_lr: Annotated[Rate, Option("clr, one-cycle: the highest rate, > --base-lr.", "Learning rate")] = 1e-2
    clr_mode: Annotated[CyclicModeName, Option("clr: how the cycles' height changes.", "Learning rate")] = "triangular"
    gamma: Annotated[
        Annotated[float, Gt(0), Le(1)], Option("clr: exp_range's factor of every update, in (0, 1].", "Learning rate")
    ] = 0.99994
    step_size: Annotated[
        Annotated[float, Gt(0), Le(1e6)], Option("clr: epochs from the lowest to the highest rate.", "Learning rate")
    ] = 8.0
    step_size_iterations: Annotated[
        Annotated[int, Ge(1), Lt(2**31)] | None,
        Option("clr: the same in updates, ≥ 1.", "Learning rate", default="by --step-size"),
    ] = None
    step_size_down: Annotated[
        Annotated[float, Gt(0), Lt(2**31)] | None,
        Option(
            "clr: the same from the highest to the lowest rate, in the same unit, > 0.",
            "Learning rate",
            default="as up",
        ),
    ] = None
    stop_at: Annotated[
        StopAt,
        Option("clr: whether rules may stop after any epoch, or only where a cycle ends.", "Stopping", ("stopping",)),
    ] = "epoch"
    momentum: SgdMomentum = 0.0
    nesterov: Nesterov = False
    cycle_momentum: Annotated[
        bool,
        Option(
            "clr, one-cycle: move sgd's momentum against the rate, from --momentum down to --min-momentum.",
            "Learning rate",
        ),
    ] = False
    min_momentum: Annotated[
        Momentum,
        Option("The momentum where the rate is highest, < --momentum.", "Learning rate", used_with="cycle_momentum"),
    ] = 0.8

    @property
    def schedule_depends_on_epochs(self) -> str:
        return f"lr_policy {self.lr_policy}" if self._policy.depends_on_epochs(self) else ""

    @property
    def _policy(self) -> Policy:
        return policies()[self.lr_policy]

    @property
    def stopping_names(self) -> frozenset[str]:
        names = super().stopping_names
        # There the learning rate follows the monitored metric.
        return names - {"monitor", "mode"} if self._policy.follows_monitor else names

    def evaluated_rule(self, rule: Rule[Any], steps_per_epoch: int) -> Rule[Any]:
        if self.stop_at == "epoch":
            return rule
        return AtCycleEnds(rule, sum(self.cycle_updates(steps_per_epoch)), steps_per_epoch)

    @property
    def cyclical(self) -> bool:
        """Whether the learning rate goes through cycles."""
        return self._policy.cycles

    @property
    def logs_steps(self) -> bool:
        """Whether the learning rate and the loss of every update are written down."""
        return self._policy.per_update

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies of all runs that these settings describe, as `lr_policy` names them."""
        return (self.lr_policy,)

    def cycle_updates(self, steps_per_epoch: int) -> tuple[int, int]:
        """Updates of a cycle's way up, and of its way down: epochs rounded to whole updates, at least one."""
        unit = steps_per_epoch if self.step_size_iterations is None else 1
        up = self.step_size if self.step_size_iterations is None else self.step_size_iterations
        down = up if self.step_size_down is None else self.step_size_down
        return max(1, math.floor(up * unit + 0.5)), max(1, math.floor(down * unit + 0.5))

    def check_updates(self, steps_per_epoch: int) -> None:
        """Raise ConfigError where an epoch has too few updates for what the settings say of them."""
        for name in self.policies:
            policies()[name].check_updates(self, steps_per_epoch)

    def notes_on_updates(self, steps_per_epoch: int) -> tuple[str, ...]:
        """Warnings about cycles and rules, once the updates of an epoch are known. Raises ConfigError where they are
        too few for what the settings say of them."""
        self.check_updates(steps_per_epoch)
        return tuple(filter(None, [self.mid_cycle(steps_per_epoch), *self.late_cycles(steps_per_epoch)]))

    def late_cycles(self, steps_per_epoch: int) -> list[str]:
        """Warnings about rules that cannot fire in time because they are evaluated only where cycles end."""
        cycle = sum(self.cycle_updates(steps_per_epoch))
        # Where no cycle ends at all, that is said of all rules; of those that come too late anyway, each.
        if self.stop_at == "epoch" or cycle > self.epochs * steps_per_epoch:
            return []
        rules = [(label, rule, self.evaluated_rule(rule, steps_per_epoch)) for label, rule in self.requested_rules()]
        return [
            f"{label}, evaluated only where cycles end, cannot stop a training of {counted(self.epochs, 'epoch')} "
            f"early: it can stop one after epoch {at_ends.earliest_stop:,} at the earliest"
            for label, rule, at_ends in rules
            if rule.earliest_stop < self.epochs <= at_ends.earliest_stop
        ]

    def mid_cycle(self, steps_per_epoch: int) -> str:
        """A warning where training would end within a cycle; empty where it ends with a whole one.

        Args:
            steps_per_epoch: updates of an epoch.
        """
        cycle, updates = sum(self.cycle_updates(steps_per_epoch)), self.epochs * steps_per_epoch
        # After so many epochs, and their multiples, a cycle ends together with an epoch.
        whole = math.lcm(cycle, steps_per_epoch) // steps_per_epoch
        if not self.cyclical or self.epochs % whole == 0:
            return ""
        no_end = "; no cycle ends before the training does, so no rule is ever evaluated"
        remark = no_end if self.stop_at == "cycle-end" and cycle > updates else ""
        if whole > MOST_TIMES * self.epochs:
            step = self.epochs / (2 * max(1, round(updates / cycle)))
            return (
                f"training ends within a cycle of the learning rate ({counted(cycle / steps_per_epoch, 'epoch')}); "
                f"a step size of {counted(step, 'epoch')} would end with a whole cycle{remark}"
            )
        ends = sorted({max(1, self.epochs // whole) * whole, (self.epochs // whole + 1) * whole})
        return (
            f"training ends within a cycle of the learning rate ({counted(cycle / steps_per_epoch, 'epoch')}); "
            f"{' or '.join(map(str, ends))} epochs would end with a whole cycle{remark}"
        )

    def check(self) -> None:
        super().check()
        self.check_learning_rate()

    def check_learning_rate(self) -> None:
        """Raise ConfigError where what the policy reads does not go together."""
        parse_drops(self.lr_drops, self.epochs)
        self._policy.check(self)
        if self.stop_at == "cycle-end" and not self.cyclical:
            expected = f"epoch, because with lr_policy {self.lr_policy} the learning rate has no cycles"
            raise ConfigError("stop_at", self.stop_at, expected)
        if self.step_size_iterations is not None and (self.step_size_down or 1) != int(self.step_size_down or 1):
            expected = "whole updates, as step_size_iterations"
            raise ConfigError("step_size_down", self.step_size_down, expected)
        self._check_momentum()

    def _check_momentum(self) -> None:
        if not self.cycle_momentum:
            return
        if self.optimizer != "sgd":
            expected = f"optimizer sgd, because {self.optimizer} has no momentum to cycle"
            raise ConfigError("cycle_momentum", True, expected)
        if not self._policy.moves_momentum and not self.cyclical:
            cycling = ", ".join(name for name, policy in policies().items() if policy.moves_momentum)
            expected = f"a policy with cycles ({cycling}); lr_policy {self.lr_policy} has none"
            raise ConfigError("cycle_momentum", True, expected)
        if self.min_momentum >= self.momentum:
            raise ConfigError("min_momentum", self.min_momentum, f"less than momentum ({self.momentum:g})")

    def late_settings(self) -> list[str]:
        return [*super().late_settings(), *(text for name in self.policies for text in policies()[name].warnings(self))]

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        warnings += [
            f"{name} has no effect with {self._policy_words}"
            for name in self.non_default(*read_by_policies(POLICY_NAMES))
            if name not in read_by_policies(self.policies)
        ]
        if self.step_size_iterations is not None and self.non_default("step_size"):
            warnings.append("step_size has no effect with step_size_iterations")
        if self.optimizer == "sgd" and self.nesterov and not self.momentum:
            warnings.append("nesterov has no effect without momentum")
        if self.stop_at == "cycle-end" and self.rules == "no-stopping":
            warnings.append("stop_at has no effect without a rule that stops (patience, threshold, stop)")
        return warnings

    @property
    def _policy_words(self) -> str:
        return f"lr_policy {self.lr_policy}"

    def describe_optimizer(self) -> str:
        """The optimizer, in words."""
        if self.optimizer != "sgd" or not self.momentum:
            return self.optimizer
        moving = f"{self.momentum:g} to {self.min_momentum:g} and back" if self.cycle_momentum else f"{self.momentum:g}"
        return f"sgd with {'Nesterov ' if self.nesterov else ''}momentum {moving}"

    def describe_learning_rate(self) -> str:
        """How the learning rate moves, in words."""
        return self._policy.describe(self)

    def describe_step_size(self) -> str:
        """How long a cycle's ways are, in words."""
        unit = "epoch" if self.step_size_iterations is None else "update"
        up = self.step_size if self.step_size_iterations is None else self.step_size_iterations
        if self.step_size_down is None:
            return f"{counted(up, unit)} a step"
        return f"{counted(up, unit)} up, {self.step_size_down:g} down"


def read_by_policies(names: Iterable[str]) -> list[str]:
    """The settings that some policies read."""
    return list(dict.fromkeys(setting for name in names for setting in policies()[name].reads))
