"""MiniGoogLeNet (Zhang et al. 2017, arXiv 1611.03530, appendix A): inception modules for images of 32 × 32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from stopcli.models.architecture import Architecture, Settings

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from stopcli.models.layers import NamedLayers

Tensor = Any

# Filters of the 1 × 1 and of the 3 × 3 convolution of each inception module, stage by stage; each stage ends with a
# downsampling by the convolution's filters, but for the last.
STEM = 96
STAGES = (
    (((32, 32), (32, 48)), 80),
    (((112, 48), (96, 64), (80, 80), (48, 96)), 96),
    (((176, 160), (176, 160)), None),
)
DROPOUT = 0.5


class MiniGoogLeNet(Architecture):
    """MiniGoogLeNet with `width` times the published numbers of filters."""

    title = "MiniGoogLeNet"
    size = "width"
    # Each of two downsamplings takes a side s to (s − 3) // 2 + 1.
    least_side = 7

    def describe(self, settings: Settings) -> str:
        return self.title + ("" if settings.width == 1 else f" of {settings.width:g} times the width")

    def bytes_per_pixel(self, settings: Settings) -> float:
        return 6100.0 * float(settings.width)

    def build(
        self, settings: Settings, image_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> keras.Model:
        return minigooglenet(image_shape, classes, seed, width=settings.width, **options)


def minigooglenet(
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    width: float = 1.0,
    mean_image: NDArray[Any] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """MiniGoogLeNet: a convolution of 96 filters, eight inception modules with two downsamplings between them, average
    pooling, dropout of a half, softmax. For CIFAR-10 it has 1,656,250 parameters.

    A conv module is convolution, batch normalization, ReLU; an inception module is a 1 × 1 and a 3 × 3 conv module side
    by side; a downsampling is a 3 × 3 conv module of stride 2 beside a 3 × 3 max pooling of stride 2, both without
    padding. The pooling at the end takes the whole of what is left: 7 × 7 for images of 32 × 32, as published. It holds
    only standard Keras layers.

    Args:
        image_shape: (height, width, channels), each side at least 7.
        classes, mean_image, precision: as for `Architecture.build`.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) and the dropout depend only on it.
        width: factor of every number of filters, > 0; 1 is the published network.
    """
    import keras

    from stopcli.models.layers import NamedLayers

    if min(image_shape[:2]) < MiniGoogLeNet.least_side:
        raise ValueError(f"received images of {image_shape}, expected sides of at least {MiniGoogLeNet.least_side}")
    network = _Inception(NamedLayers(seed, precision), width)
    images, x = network.layers.images(image_shape, mean_image)
    x = network.module(x, STEM, 3, "stem")
    for stage, (modules, downsample) in enumerate(STAGES, start=1):
        for number, filters in enumerate(modules, start=1):
            x = network.inception(x, filters, f"stage{stage}_inception{number}")
        if downsample is not None:
            x = network.downsample(x, downsample, f"stage{stage}_down")
    x = network.layers.drop_out(network.layers.average(x), DROPOUT)
    return keras.Model(images, network.layers.classify(x, classes), name="minigooglenet")


class _Inception:
    """The modules of the network, their filters scaled by a factor."""

    def __init__(self, layers: NamedLayers, width: float) -> None:
        self.layers, self._width = layers, width

    def module(
        self,
        x: Tensor,
        filters: int,
        kernel: int,
        name: str,
        stride: int = 1,
        padding: Literal["same", "valid"] = "same",
    ) -> Tensor:
        scaled = max(1, round(filters * self._width))
        return self.layers.activate(self.layers.convolve(x, scaled, kernel, stride, name, padding), name)

    def inception(self, x: Tensor, filters: tuple[int, int], name: str) -> Tensor:
        sides = [self.module(x, filters[0], 1, f"{name}_1x1"), self.module(x, filters[1], 3, f"{name}_3x3")]
        return self.layers.concatenate(sides, name)

    def downsample(self, x: Tensor, filters: int, name: str) -> Tensor:
        convolved = self.module(x, filters, 3, f"{name}_3x3", stride=2, padding="valid")
        return self.layers.concatenate([convolved, self.layers.halve(x, f"{name}_pool")], name)
