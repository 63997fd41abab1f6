"""The settings of `stopcli cifar-resnet`; the defaults are the published ones (Keras's `resnet_v1`, depth 44)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le

from stopcli.configs.base import Count
from stopcli.configs.images import ImageConfig
from stopcli.configs.options import Option
from stopcli.configs.training import OptimizerName
from stopcli.models.architecture import Architecture, architectures


@dataclass(frozen=True, kw_only=True)
class CifarResnetConfig(ImageConfig):
    """ResNet v1 on CIFAR-10."""

    command: ClassVar[str] = "cifar-resnet"
    help: ClassVar[str] = (
        "The published setting is depth 44 for 100 epochs on 50,000 images; without a GPU, the quick scale takes "
        "depth 8, 15 epochs and 5,000 images. Beside the curves, the run leaves a sheet of augmented images, a "
        "confusion matrix, precision and recall by class, and the images that the model is most wrong about."
    )
    quick: ClassVar[dict[str, Any]] = {"depth": 8, "limit": 5000, "epochs": 15}

    depth: Annotated[
        int, Ge(8), Le(1202), Option("Layers with weights, 6n + 2: 8, 14, 20, …", "Training", ("range",))
    ] = 44
    epochs: Count = 100
    batch_size: Count = 64
    optimizer: OptimizerName = "rmsprop"

    @property
    def architecture(self) -> Architecture:
        return architectures()["resnet"]

    def check(self) -> None:
        super().check()
        self.architecture.check(self)
