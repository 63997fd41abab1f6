"""What the networks that `model` names have in common, and their registry.

Importing them does not import Keras: a run's settings are checked, and described, before it is started.
"""

from __future__ import annotations

import functools
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError, RequestError, did_you_mean

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

_ARCHITECTURES = {
    "minigooglenet": "stopcli.models.minigooglenet:MiniGoogLeNet",
    "resnet": "stopcli.models.resnet:ResNet",
    "mlp": "stopcli.models.mlp:Mlp",
}
MODEL_NAMES = tuple(_ARCHITECTURES)
# How a model ends that is a Python file, which builds it and has its data.
CODE_ENDING = ".py"

Settings = Any
"""The settings of a run, which has what its architecture reads."""


class Architecture:
    """A kind of network.

    Attributes:
        title: its name in sentences.
        size: the setting that gives its size; empty for none.
        least_side: pixels; smaller images vanish on their way through it.
        takes_points: whether it can also be built for points of a plane.
        is_code: whether a Python file builds it, which has its data too.
    """

    title = ""
    size = ""
    least_side = 1
    takes_points = False
    is_code = False

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
            precision: Keras's name of the layers' dtype policy: `float32`, `mixed_bfloat16` or `mixed_float16`.
        """
        raise NotImplementedError

    def build_for_points(self, settings: Settings, features: int, seed: int, precision: str = "float32") -> keras.Model:
        """A built model from float32 [rows, features] to the probability of class 1, float32 [rows, 1].

        Args:
            features: ≥ 1.
            seed, precision: as for `build`.
        """
        raise RequestError(f"{self.title} takes images only")


@functools.cache
def architectures() -> dict[str, Architecture]:
    """Every architecture by its name."""
    return {name: pkgutil.resolve_name(target)() for name, target in _ARCHITECTURES.items()}


class CodeModel(Architecture):
    """The model of a Python file."""

    is_code = True

    def __init__(self, path: Path) -> None:
        self.title = path.name


def architecture_of(model: str) -> Architecture:
    """The architecture of a name, or of the path of a Python file. Raises ConfigError where it is neither."""
    if model.endswith(CODE_ENDING):
        return CodeModel(Path(model))
    if model not in MODEL_NAMES:
        expected = f"one of {', '.join(MODEL_NAMES)}, or the path of a Python file, which ends in {CODE_ENDING}"
        raise ConfigError("model", model, expected, hint=did_you_mean(model, MODEL_NAMES))
    return architectures()[model]
