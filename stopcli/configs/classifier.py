"""The settings of `stopcli cifar-resnet`, and of a training of any model, which `stopcli clr` runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from stopcli.configs.base import Count, Option, Positive, options_of
from stopcli.configs.images import Augment, ImageConfig
from stopcli.configs.learning_rate import LearningRatePolicy, Momentum
from stopcli.configs.training import OptimizerName
from stopcli.data.named import DATASET_NAMES
from stopcli.errors import ConfigError
from stopcli.models.architecture import MODEL_NAMES, Architecture, architectures


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
        int, Ge(8), Le(1202), Option("Layers with weights, 6n + 2: 8, 14, 20, …", "Training", ("range",), common=True)
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


if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Literal[MODEL_NAMES]
# The data set that is no set of images: scikit-learn's two moons, as `stopcli moons` has them.
MOONS = "moons"
AnyDataset = Annotated[
    str,
    Option(
        "As for `stopcli cifar-resnet`; moons: the two moons of `stopcli moons`, for model mlp.",
        "Data",
        ("test-rows", "range"),
        metavar="|".join(("auto", *DATASET_NAMES, MOONS, "PATH")),
    ),
]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The model, and the size of each kind of it."""

    model: Annotated[
        ModelName, Option("The network; for the points of `--dataset moons`, mlp.", "Training", ("range",), common=True)
    ] = "minigooglenet"
    width: Annotated[
        float,
        Gt(0),
        Le(16),
        Option("minigooglenet: factor of every number of filters, > 0.", "Training", ("range",)),
    ] = 1.0
    depth: Annotated[
        int,
        Ge(8),
        Le(1202),
        Option("resnet: layers with weights, 6n + 2: 8, 14, 20, …", "Training", ("range",), common=True),
    ] = 44
    hidden: Annotated[
        int, Ge(1), Le(1_000_000), Option("mlp: units of the hidden layer, ≥ 1.", "Training", ("range",))
    ] = 500

    @property
    def architecture(self) -> Architecture:
        return architectures()[self.model]

    def describe_model(self) -> str:
        """The network, in words."""
        return self.architecture.describe(self)

    def check_network(self, dataset: str, validation: str) -> None:
        """Raise ConfigError where there is no such network, or it cannot take the data."""
        for architecture in architectures().values():
            architecture.check(self)
        if dataset == MOONS and not self.architecture.takes_points:
            others = " or ".join(name for name, other in architectures().items() if other.takes_points)
            raise ConfigError("model", self.model, f"{others}, which can take the points of dataset moons")
        if dataset == MOONS and validation == "folder":
            raise ConfigError("validation", validation, "test, split or holdout: dataset moons is no folder of images")

    def sizes_of_others(self) -> set[str]:
        """The settings that give the size of other networks than the chosen one."""
        return {other.size for other in architectures().values() if other.size} - {self.architecture.size}


def network_warnings(config: Any) -> list[str]:
    """What of a config with NetworkSettings has no effect on its network, or on its data."""
    warnings = [
        f"{name} has no effect with model {config.model}"
        for name in config.non_default(*sorted(config.sizes_of_others()))
    ]
    if config.dataset == MOONS:
        of_images = [name for name, option in options_of(type(config)).items() if "images" in option.roles]
        warnings += [f"{name} has no effect with dataset moons" for name in config.non_default(*of_images)]
    return warnings


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
class ClassifierConfig(NetworkSettings, ImageConfig):
    """A network trained under a learning-rate policy."""

    command: ClassVar[str] = "train"
    quick: ClassVar[dict[str, Any]] = QUICK

    dataset: AnyDataset = "auto"
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
