"""The settings of one training of one of several networks: an arm of `stopcli clr`, with one seed.

The defaults are those of the published experiment with cyclical learning rates (A. Rosebrock, "Cyclical Learning Rates
with Keras and Deep Learning": MiniGoogLeNet on CIFAR-10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stopcli.config import Count, OptimizerName, Positive
from stopcli.recipes.images.rate_settings import LearningRatePolicy, Momentum
from stopcli.recipes.images.settings import Augment, ImageConfig
from stopcli.recipes.train.network_settings import MOONS, NetworkSettings, network_warnings

# The same experiment, small enough for a laptop's CPU: three cycles of six epochs, and a gamma that comes to in these
# updates what the published one comes to in 96 epochs of 50,000 images.
QUICK: dict[str, Any] = {
    "width": 0.25,
    "depth": 8,
    "limit": 2000,
    "test_limit": 1500,
    "epochs": 18,
    "step_size": 3.0,
    "gamma": 0.9922,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(NetworkSettings, ImageConfig):
    """A network trained under a learning-rate policy."""

    command: ClassVar[str] = "train"
    quick: ClassVar[dict[str, Any]] = QUICK

    epochs: Count = 96
    batch_size: Count = 64
    optimizer: OptimizerName = "sgd"
    momentum: Momentum = 0.9
    learning_rate: Positive = 0.01
    lr_policy: LearningRatePolicy = "clr"
    augment: Augment = "nearest"

    @property
    def arm(self) -> str:
        policy = self.clr_mode if self.lr_policy == "clr" else self.lr_policy
        rules = [] if self.rules == "no-stopping" else [self.rules]
        augmentation = [] if self.dataset == MOONS else self.augmentation_parts()
        return "-".join([self.model, *augmentation, policy, *rules])

    @property
    def logs_steps(self) -> bool:
        # Of every arm, so that they can be drawn together.
        return True

    def check(self) -> None:
        super().check()
        self.check_network(self.dataset, self.validation)

    def warnings(self) -> list[str]:
        return [*super().warnings(), *network_warnings(self)]

    def describe_augmentation(self) -> str:
        return "none, of points" if self.dataset == MOONS else super().describe_augmentation()
