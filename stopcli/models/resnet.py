"""ResNet v1 for small images, as Keras documents it for CIFAR-10 (`resnet_v1`; He et al. 2015, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError
from stopcli.models.architecture import Architecture, Settings

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from stopcli.models.layers import NamedLayers

Tensor = Any

# Of every convolution's kernel, as in Keras's example.
L2 = 1e-4
STAGE_FILTERS = (16, 32, 64)


class ResNet(Architecture):
    """ResNet v1 of `depth` layers."""

    title = "ResNet"
    size = "depth"

    def describe(self, settings: Settings) -> str:
        return f"ResNet-{settings.depth} v1"

    def check(self, settings: Settings) -> None:
        if (settings.depth - 2) % 6:
            below = (settings.depth - 2) // 6 * 6 + 2
            raise ConfigError("depth", settings.depth, f"6n + 2 layers; the nearest are {below} and {below + 6}")

    def bytes_per_pixel(self, settings: Settings) -> float:
        return super().bytes_per_pixel(settings) + 450.0 * float((settings.depth - 2) // 6)

    def build(
        self, settings: Settings, image_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> keras.Model:
        return resnet_v1(settings.depth, image_shape, classes, seed, **options)


def resnet_v1(
    depth: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    mean_image: NDArray[Any] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """ResNet v1: a convolution of 16 filters, three stages of n blocks with 16, 32 and 64, average pooling, softmax.

    It holds only standard Keras layers. The pooling takes the whole of what the last stage gives: 8 × 8 for images of
    32 × 32, as published.

    Args:
        depth: 6n + 2 layers with weights, n ≥ 1: 8, 14, 20, …
        image_shape: (height, width, channels); each side at least 4, since two stages halve it.
        classes, mean_image, precision: as for `Architecture.build`.
        seed: the run's seed; the initial weights (He normal, zero biases) depend only on it.
    """
    import keras

    from stopcli.models.layers import NamedLayers

    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"received depth {depth}, expected 6n + 2: 8, 14, 20, …")
    network = NamedLayers(seed, precision, he_normal=True, l2=L2)
    images, x = network.images(image_shape, mean_image)
    x = network.activate(network.convolve(x, STAGE_FILTERS[0], 3, 1, "stem"), "stem")
    for stage, filters in enumerate(STAGE_FILTERS, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(network, x, filters, stride, f"stage{stage}_block{block}")
    return keras.Model(images, network.classify(network.average(x), classes), name=f"resnet{depth}_v1")


def _block(network: NamedLayers, x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Two convolutions and a way around them, which is a 1 × 1 convolution where the shape changes."""
    y = network.activate(network.convolve(x, filters, 3, stride, f"{name}_1"), f"{name}_1")
    y = network.normalize(network.convolve(y, filters, 3, 1, f"{name}_2"), f"{name}_2")
    if stride != 1:
        x = network.convolve(x, filters, 1, stride, f"{name}_projection")
    return network.rectify(network.add([x, y], f"{name}_add"), f"{name}_out")
