"""What the networks that `model` names have in common, and their registry.

Importing them does not import Keras: a run's settings are checked, and described, before it is started.
"""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError, RequestError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

_ARCHITECTURES = {
    "minigooglenet": "stopcli.models.minigooglenet:MiniGoogLeNet",
    "resnet": "stopcli.models.resnet:ResNet",
    "mlp": "stopcli.models.mlp:Mlp",
}
MODEL_NAMES = tuple(_ARCHITECTURES)

Settings = Any
"""The settings of a run, which has what its architecture reads."""


class Architecture:
    """A kind of network.

    Attributes:
        title: its name in sentences.
        size: the setting that gives its size; empty for none.
        least_side: pixels; smaller images vanish on their way through it.
        takes_points: whether it can also be built for points of a plane.
    """

    title = ""
    size = ""
    least_side = 1
    takes_points = False

    def describe(self, settings: Settings) -> str:
        """The network in words."""
        return self.title

    def check(self, settings: Settings) -> None:
        """Raise ConfigError where there is no such network."""

    def check_sides(self, height: int, width: int) -> None:
        """Raise ConfigError where images are too small for it."""
        if min(height, width) < self.least_side:
            expected = (
                f"another model, or --image-size 32: {self.title} takes sides of {self.least_side} pixels or more"
            )
            raise ConfigError("model", f"{self.title} for images of {height} × {width}", expected)

    def bytes_per_pixel(self, settings: Settings) -> float:
        """Memory that training takes for each pixel of an image in a batch, roughly."""
        return 350.0

    def build(
        self,
        settings: Settings,
        image_shape: tuple[int, int, int],
        classes: int,
        seed: int,
        *,
        mean_image: NDArray[Any] | None = None,
        precision: str = "float32",
    ) -> keras.Model:
        """A built model, not compiled, from images to class probabilities, float32 [rows, classes].

        Args:
            image_shape: (height, width, channels); images are float32 [rows, height, width, channels] in [0, 1].
            classes: ≥ 2.
            seed: the run's seed; everything random about the model depends only on it.
            mean_image: float32, `image_shape`: subtracted from every image by the model's first layer.
            precision: Keras's name of the layers' dtype policy: `float32`, `mixed_float16` or `mixed_bfloat16`.
        """
        raise NotImplementedError

    def build_for_points(self, settings: Settings, features: int, seed: int) -> keras.Model:
        """A built model from float32 [rows, features] to the probability of class 1, float32 [rows, 1]."""
        raise RequestError(f"{self.title} takes images only")


@functools.cache
def architectures() -> dict[str, Architecture]:
    """Every architecture by its name."""
    return {name: pkgutil.resolve_name(target)() for name, target in _ARCHITECTURES.items()}
