"""Learning-rate policies, as `lr_policy` names them: what they read, check and say, and the schedule that they make.

Importing them does not import Keras: a run's settings are checked, and described, before it is started.
"""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError
from stopcli.quantities import counted

if TYPE_CHECKING:
    from stopcli.schedules.plateau import Plateau

_POLICIES = {
    "step": "stopcli.schedules.step_decay:StepDecay",
    "constant": "stopcli.schedules.policy:Policy",
    "cosine": "stopcli.schedules.policy:Cosine",
    "plateau": "stopcli.schedules.plateau:ReduceOnPlateau",
    "clr": "stopcli.schedules.policy:Cyclical",
    "one-cycle": "stopcli.schedules.policy:OneCycle",
}
POLICY_NAMES = tuple(_POLICIES)

Settings = Any
"""The settings of a run, which has `lr_policy` and what the policy reads."""


class Policy:
    """How the learning rate of a run moves; without more, it stays as it is.

    Attributes:
        reads: the settings that it reads, beside `epochs`.
        per_update: whether each update has its own learning rate, which the run then records.
        cycles: whether it repeats a cycle of `step_size`, at whose ends a run may stop.
        moves_momentum: whether a momentum can move against it (`cycle_momentum`).
        follows_monitor: whether it depends on the metric that rules monitor.
    """

    reads: tuple[str, ...] = ("learning_rate",)
    per_update = False
    cycles = False
    moves_momentum = False
    follows_monitor = False

    def depends_on_epochs(self, settings: Settings) -> bool:
        """Whether more epochs change the learning rate of the first ones."""
        return False

    def check(self, settings: Settings) -> None:
        """Raise ConfigError where settings that it reads contradict each other."""

    def check_updates(self, settings: Settings, steps_per_epoch: int) -> None:
        """Raise ConfigError where an epoch has too few updates for it."""

    def warnings(self, settings: Settings) -> list[str]:
        """What of it comes too late for so few epochs, a sentence each."""
        return []

    def describe(self, settings: Settings) -> str:
        """How the learning rate moves, in words."""
        return f"learning rate {settings.learning_rate:g}, constant"

    def schedule(self, settings: Settings, steps_per_epoch: int) -> Any:
        """A Keras schedule from the number of updates before to the learning rate; None where no update changes it."""
        return None

    def plateau(self, settings: Settings) -> Plateau | None:
        """The rule that reduces the learning rate after an epoch; None if nothing does."""
        return None


@functools.cache
def policies() -> dict[str, Policy]:
    """Every policy by its name."""
    return {name: pkgutil.resolve_name(target)() for name, target in _POLICIES.items()}


class Cosine(Policy):
    """Down along half a cosine wave (Loshchilov and Hutter, arXiv 1608.03983), after a linear warm-up."""

    reads = ("learning_rate", "lr_min", "lr_warmup")
    per_update = True

    def depends_on_epochs(self, settings: Settings) -> bool:
        return True

    def check(self, settings: Settings) -> None:
        check_lr_min(settings)
        if settings.lr_warmup >= settings.epochs:
            raise ConfigError("lr_warmup", settings.lr_warmup, f"less than epochs ({settings.epochs})")

    def describe(self, settings: Settings) -> str:
        warmup = f" after {counted(settings.lr_warmup, 'epoch')} of warm-up" if settings.lr_warmup else ""
        return f"learning rate {settings.learning_rate:g} to {settings.lr_min:g} along a cosine{warmup}"

    def schedule(self, settings: Settings, steps_per_epoch: int) -> Any:
        import keras

        rate, warmup = settings.learning_rate, settings.lr_warmup * steps_per_epoch
        rise = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        return keras.optimizers.schedules.CosineDecay(
            **{"initial_learning_rate": rate, **rise},
            decay_steps=settings.epochs * steps_per_epoch - warmup,
            alpha=settings.lr_min / rate,
        )


class Cyclical(Policy):
    """Up and down again, over and over (`CyclicLR`)."""

    reads = ("base_lr", "max_lr", "clr_mode", "gamma", "step_size", "step_size_iterations", "step_size_down")
    per_update = cycles = moves_momentum = True

    def check(self, settings: Settings) -> None:
        if settings.base_lr >= settings.max_lr:
            raise ConfigError("base_lr", settings.base_lr, f"less than max_lr ({settings.max_lr:g})")

    def check_updates(self, settings: Settings, steps_per_epoch: int) -> None:
        if settings.step_size_iterations is not None:
            return
        for name in ("step_size", "step_size_down"):
            value = getattr(settings, name)
            if value is not None and value * steps_per_epoch < 1:
                raise ConfigError(name, value, f"one update or more: an epoch has {steps_per_epoch}")

    def describe(self, settings: Settings) -> str:
        rates = f"{settings.base_lr:g} to {settings.max_lr:g}"
        return f"learning rate {rates}, {settings.clr_mode}, {settings.describe_step_size()}"

    def schedule(self, settings: Settings, steps_per_epoch: int) -> Any:
        from stopcli.schedules.cyclic import CyclicLR

        up, down = settings.cycle_updates(steps_per_epoch)
        gamma = settings.gamma if settings.clr_mode == "exp_range" else 1.0
        return CyclicLR(settings.base_lr, settings.max_lr, up, settings.clr_mode, gamma, down)


class OneCycle(Policy):
    """Up once, and down to almost nothing (`OneCycleLR`)."""

    reads = ("max_lr",)
    per_update = moves_momentum = True
    # Its way up takes 0.3 of the updates, and more than one.
    fewest_updates = 4

    def depends_on_epochs(self, settings: Settings) -> bool:
        return True

    def check_updates(self, settings: Settings, steps_per_epoch: int) -> None:
        if settings.epochs * steps_per_epoch < self.fewest_updates:
            expected = f"more: one cycle takes {self.fewest_updates} updates, and an epoch has {steps_per_epoch}"
            raise ConfigError("epochs", settings.epochs, expected)

    def describe(self, settings: Settings) -> str:
        return f"learning rate up to {settings.max_lr:g} and down in one cycle"

    def schedule(self, settings: Settings, steps_per_epoch: int) -> Any:
        from stopcli.schedules.cyclic import OneCycleLR

        return OneCycleLR(settings.max_lr, settings.epochs * steps_per_epoch)


def check_lr_min(settings: Settings) -> None:
    """Raise ConfigError where the lowest rate is not below the first one."""
    if settings.lr_min >= settings.learning_rate:
        raise ConfigError("lr_min", settings.lr_min, f"less than learning_rate ({settings.learning_rate:g})")
