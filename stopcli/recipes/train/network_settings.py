"""Which network is trained, and of what size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from stopcli.errors import ConfigError
from stopcli.recipes.images.settings import OF_IMAGES

ModelName = Literal["minigooglenet", "resnet", "mlp"]
# The data set that is no set of images: scikit-learn's two moons, as `stopcli moons` has them.
MOONS = "moons"
# Images of smaller sides vanish on their way through MiniGoogLeNet.
LEAST_SIDE = 7


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The model, and the size of each kind of it."""

    model: ModelName = "minigooglenet"
    width: Annotated[float, Gt(0), Le(16)] = 1.0
    depth: Annotated[int, Ge(8), Le(1202)] = 44
    hidden: Annotated[int, Ge(1), Le(1_000_000)] = 500

    def check_network(self, dataset: str, validation: str) -> None:
        """Raise ConfigError where there is no such network, or it cannot take the data."""
        if (self.depth - 2) % 6:
            below = (self.depth - 2) // 6 * 6 + 2
            raise ConfigError("depth", self.depth, f"6n + 2 layers; the nearest are {below} and {below + 6}")
        if dataset == MOONS and self.model != "mlp":
            raise ConfigError("model", self.model, "mlp, the only one that takes the points of dataset moons")
        if dataset == MOONS and validation == "folder":
            raise ConfigError("validation", validation, "test, split or holdout: dataset moons is no folder of images")

    def describe_model(self) -> str:
        """What is trained, in words."""
        if self.model == "minigooglenet":
            return "MiniGoogLeNet" + ("" if self.width == 1 else f" of {self.width:g} times the width")
        return f"ResNet-{self.depth} v1" if self.model == "resnet" else f"MLP of {self.hidden} units"

    def check_sides(self, sides: tuple[int, int]) -> None:
        """Raise ConfigError where images are too small for the model.

        Args:
            sides: height and width of the images.
        """
        if self.model == "minigooglenet" and min(sides) < LEAST_SIDE:
            expected = f"another model, or --image-size 32: MiniGoogLeNet takes sides of {LEAST_SIDE} pixels or more"
            raise ConfigError("model", f"minigooglenet for images of {sides[0]} × {sides[1]}", expected)


def network_warnings(config: Any) -> list[str]:
    """What of a config with NetworkSettings has no effect on its network, or on its data."""
    read = {"minigooglenet": "width", "resnet": "depth", "mlp": "hidden"}
    others = [name for model, name in read.items() if model != config.model]
    told = [f"{name} has no effect with model {config.model}" for name in config.chosen(*others)]
    if config.dataset == MOONS:
        told += [f"{name} has no effect with dataset moons" for name in config.chosen(*OF_IMAGES)]
    return told
