"""Which network is trained, and of what size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from stopcli.errors import ConfigError

ModelName = Literal["minigooglenet", "resnet", "mlp"]
# The data set that is no set of images: scikit-learn's two moons, as `stopcli moons` has them.
MOONS = "moons"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The model, and the size of each kind of it."""

    model: ModelName = "minigooglenet"
    width: Annotated[float, Gt(0), Le(16)] = 1.0
    depth: Annotated[int, Ge(8), Le(1202)] = 44
    hidden: Annotated[int, Ge(1), Le(1_000_000)] = 500

    def check_network(self, dataset: str) -> None:
        """Raise ConfigError where there is no such network, or it cannot take the data."""
        if (self.depth - 2) % 6:
            below = (self.depth - 2) // 6 * 6 + 2
            raise ConfigError("depth", self.depth, f"6n + 2 layers; the nearest are {below} and {below + 6}")
        if dataset == MOONS and self.model != "mlp":
            raise ConfigError("model", self.model, "mlp, the only one that takes the points of dataset moons")

    def network_warnings(self, at_scale: Mapping[str, Any]) -> list[str]:
        """What of these settings another model would read.

        Args:
            at_scale: settings that the scale has chosen, and not the user.
        """
        read = {"minigooglenet": "width", "resnet": "depth", "mlp": "hidden"}
        return [
            f"{name} has no effect with model {self.model}"
            for model, name in read.items()
            if model != self.model and getattr(self, name) not in (getattr(NetworkSettings, name), at_scale.get(name))
        ]

    def describe_model(self) -> str:
        """What is trained, in words."""
        if self.model == "minigooglenet":
            return "MiniGoogLeNet" + ("" if self.width == 1 else f" of {self.width:g} times the width")
        return f"ResNet-{self.depth} v1" if self.model == "resnet" else f"MLP of {self.hidden} units"
