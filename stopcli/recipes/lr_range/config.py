"""The settings of `stopcli lr-range`; the defaults are fastai's: 1e-7 to 10 in 100 updates, or to 4 times the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from stopcli.config import Count, OptimizerName, Positive, RunConfig
from stopcli.errors import ConfigError
from stopcli.evidence.rate_range import FEWEST_UPDATES
from stopcli.recipes.images.rate_settings import Momentum
from stopcli.recipes.images.settings import Augment, AugmentSettings, DataSettings
from stopcli.recipes.train.config import QUICK
from stopcli.recipes.train.network_settings import MOONS, NetworkSettings

Ramp = Literal["exponential", "linear"]


@dataclass(frozen=True, kw_only=True)
class LrRangeConfig(NetworkSettings, DataSettings, AugmentSettings, RunConfig):
    """A training in which the learning rate rises from a small to a large value."""

    command: ClassVar[str] = "lr-range"
    quick: ClassVar[dict[str, Any]] = {name: QUICK[name] for name in ("width", "depth", "limit")}

    start_lr: Positive = 1e-7
    end_lr: Positive = 10.0
    iterations: Annotated[int, Ge(FEWEST_UPDATES), Lt(2**31)] = 100
    epochs: Annotated[float, Gt(0)] | None = None
    ramp: Ramp = "exponential"
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.9
    stop_factor: Annotated[float, Gt(1)] = 4.0
    batch_size: Count = 64
    optimizer: OptimizerName = "sgd"
    momentum: Momentum = 0.9
    nesterov: bool = False
    augment: Augment = "nearest"
    mixed_precision: bool = False
    threads: Annotated[int, Ge(1)] | None = None

    @property
    def is_sweep(self) -> bool:
        # Its seeds take seconds each, and share one compiled loop.
        return False

    @property
    def arm(self) -> str:
        return f"{self.model}-{self.ramp}"

    @property
    def validation(self) -> str:
        """Nothing validates: the loss of the training batches is what is looked at."""
        return "test"

    @property
    def share(self) -> float:
        return 0.0

    def updates(self, steps_per_epoch: int) -> int:
        """Updates of the test."""
        return self.iterations if self.epochs is None else math.ceil(self.epochs * steps_per_epoch)

    def check(self) -> None:
        super().check()
        self.check_network(self.dataset)
        self.check_augmentation()
        if self.start_lr >= self.end_lr:
            raise ConfigError("start_lr", self.start_lr, f"less than end_lr ({self.end_lr:g})")
        if self.epochs is not None and self.iterations != type(self).iterations:
            raise ConfigError("epochs", self.epochs, f"nothing beside iterations ({self.iterations}); give one of them")
        for name in ("save_every", "init_from", "init_optimizer"):
            if getattr(self, name) != getattr(RunConfig, name):
                raise ConfigError(name, getattr(self, name), "nothing: a range test begins anew and saves no states")

    def warnings(self) -> list[str]:
        told = [*super().warnings(), *self.network_warnings(self.quick if self.scale == "quick" else {})]
        if self.optimizer != "sgd" and (self.momentum != type(self).momentum or self.nesterov):
            told.append(f"momentum and nesterov have no effect with optimizer {self.optimizer}")
        if self.dataset == MOONS and self.erasing:
            told.append("erasing has no effect with dataset moons")
        return told

    def describe_ramp(self) -> str:
        """How the learning rate rises, in words."""
        return f"learning rate {self.start_lr:g} to {self.end_lr:g}, {self.ramp}"
