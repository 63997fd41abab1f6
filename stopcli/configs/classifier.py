"""The settings of `stopcli cifar-resnet`, and of a training of any model, which `stopcli clr` runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Ge, Gt, Le

from stopcli.configs.base import Count, Option, Positive, RunConfig, Share, options_of, settings_with
from stopcli.configs.epochs import OptimizerName
from stopcli.configs.images import VALIDATION, Augment, ImageConfig, ImageValidation
from stopcli.configs.learning_rate import LearningRatePolicy, Momentum
from stopcli.configs.user_code import AUTO, CodeTrainingConfig, CodeValidation
from stopcli.data.named import DATASET_NAMES
from stopcli.errors import ConfigError
from stopcli.models.architecture import CODE_ENDING, MODEL_NAMES, Architecture, architecture_of, architectures


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


# The data set that is no set of images: scikit-learn's two moons, as `stopcli moons` has them.
MOONS = "moons"
AnyDataset = Annotated[
    str,
    Option(
        "As for `stopcli cifar-resnet`; moons: the two moons of `stopcli moons`, for model mlp.",
        "Data",
        ("test-rows", "range", "network"),
        metavar="|".join(("auto", *DATASET_NAMES, MOONS, "PATH")),
    ),
]


# What a Python file compiles its model with, in words.
OWN_OPTIMIZER = "its own optimizer"
ModelValidation = Annotated[
    Literal["auto", "test", "split", "holdout", "folder", "last", "none"],
    Option(
        f"{VALIDATION} Of a FILE.py: auto: its own rows that validate, else split; last: the last rows; none.", "Data"
    ),
]
ModelShare = Annotated[
    Share | None,
    Option("The share set aside for validation, in (0, 1).", "Data", default="0.1, of a FILE.py 0.2"),
]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(RunConfig):
    """The model: a network with the size of its kind, or a Python file that builds one and has its data."""

    dataset: AnyDataset = "auto"
    model: Annotated[
        str,
        Option(
            "The network; for the points of `--dataset moons`, mlp. FILE.py: the model, the data and the optimizer of "
            "a Python file, as `stopcli fit` takes it.",
            "Training",
            ("range",),
            choices=MODEL_NAMES,
            path_ending=CODE_ENDING,
            common=True,
        ),
    ] = "minigooglenet"
    width: Annotated[
        float,
        Gt(0),
        Le(16),
        Option("minigooglenet: factor of every number of filters, > 0.", "Training", ("range", "network")),
    ] = 1.0
    depth: Annotated[
        int,
        Ge(8),
        Le(1202),
        Option("resnet: layers with weights, 6n + 2: 8, 14, 20, …", "Training", ("range", "network"), common=True),
    ] = 44
    hidden: Annotated[
        int, Ge(1), Le(1_000_000), Option("mlp: units of the hidden layer, ≥ 1.", "Training", ("range", "network"))
    ] = 500

    @property
    def architecture(self) -> Architecture:
        return architecture_of(self.model)

    @property
    def is_code(self) -> bool:
        """Whether the model is that of a Python file."""
        return self.architecture.is_code

    @property
    def file(self) -> str:
        """The Python file of the model; empty where it is a network."""
        return self.model if self.is_code else ""

    @property
    def model_name(self) -> str:
        """The model, as a part of a folder's name."""
        return Path(self.model).stem if self.is_code else self.model

    def describe_model(self) -> str:
        """The network, in words."""
        return self.architecture.describe(self)

    @property
    def subject(self) -> tuple[str, ...]:
        """What is trained, and on what, each in words; a Python file says both."""
        return (self.describe_model(),) if self.is_code else (self.describe_model(), Path(self.dataset).name)

    @classmethod
    def has_quick_scale(cls, explicit: Mapping[str, Any]) -> bool:
        return not _is_code(explicit) and super().has_quick_scale(explicit)

    @classmethod
    def at_scale(cls, scale: str, explicit: Mapping[str, Any]) -> Mapping[str, Any]:
        if not _is_code(explicit):
            return super().at_scale(scale, explicit)
        # What is monitored depends on what the file's model measures.
        return {name: AUTO for name in ("monitor", "checkpoint_monitor") if name in options_of(cls)}

    @property
    def without_meaning(self) -> frozenset[str]:
        options = options_of(type(self))
        unread = settings_with(type(self), "network" if self.is_code else "code")
        of_unread = {name for name, option in options.items() if option.used_with in unread}
        return super().without_meaning | unread | of_unread

    def warnings(self) -> list[str]:
        return [*super().warnings(), *network_warnings(self)]

    def check_network(self, dataset: str, validation: str) -> None:
        """Raise ConfigError where there is no such network, or it cannot take the data."""
        if self.is_code:
            self._check_code(validation)
            return
        if validation not in get_args(ImageValidation):
            expected = f"one of {', '.join(get_args(ImageValidation))}, for images"
            raise ConfigError("validation", validation, expected)
        for architecture in architectures().values():
            architecture.check(self)
        if dataset == MOONS and not self.architecture.takes_points:
            others = " or ".join(name for name, other in architectures().items() if other.takes_points)
            raise ConfigError("model", self.model, f"{others}, which can take the points of dataset moons")
        if dataset == MOONS and validation == "folder":
            raise ConfigError("validation", validation, "test, split or holdout: dataset moons is no folder of images")

    def _check_code(self, validation: str) -> None:
        """Raise ConfigError where settings contradict a model that is a Python file."""
        if self.scale != "full":
            raise ConfigError("scale", self.scale, f"full: no published setting has {self.describe_model()}")
        if validation not in get_args(CodeValidation):
            raise ConfigError("validation", validation, f"one of {', '.join(get_args(CodeValidation))}")

    def sizes_of_others(self) -> set[str]:
        """The settings that give the size of other networks than the chosen one."""
        return {other.size for other in architectures().values() if other.size} - {self.architecture.size}


def _is_code(explicit: Mapping[str, Any]) -> bool:
    """Whether settings that are named say that the model is a Python file."""
    return str(explicit.get("model", "")).endswith(CODE_ENDING)


def network_warnings(config: Any) -> list[str]:
    """What of a config with NetworkSettings has no effect on its network, or on its data."""
    if config.is_code:
        unread = config.non_default(*settings_with(type(config), "network"))
        return [f"{name} has no effect with model {config.describe_model()}" for name in sorted(unread)]
    unread = [*sorted(config.sizes_of_others()), *sorted(settings_with(type(config), "code"))]
    warnings = [f"{name} has no effect with model {config.model}" for name in config.non_default(*unread)]
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
class ClassifierConfig(NetworkSettings, CodeTrainingConfig, ImageConfig):
    """A network trained under a learning-rate policy."""

    command: ClassVar[str] = "train"
    quick: ClassVar[dict[str, Any]] = QUICK

    validation: ModelValidation = "auto"  # type: ignore[assignment]
    validation_share: ModelShare = None
    epochs: Count = 96
    batch_size: Count = 64
    optimizer: OptimizerName = "sgd"
    momentum: Momentum = 0.9
    learning_rate: Positive = 0.01
    lr_policy: LearningRatePolicy = "clr"
    augment: Augment = "nearest"

    @property
    def loop(self) -> str:
        """What a call of the compiled loop trains: steps of an epoch, which are logged."""
        return "steps"

    @property
    def arm(self) -> str:
        policy = self.clr_mode if self.lr_policy == "clr" else self.lr_policy
        rules = [] if self.rules == "no-stopping" else [self.rules]
        if self.is_code:
            return "-".join([policy, *rules])
        augmentation = [] if self.dataset == MOONS else self.augmentation_parts()
        return "-".join([self.model, *augmentation, policy, *rules])

    @property
    def logs_steps(self) -> bool:
        # Of every arm, so that they can be drawn together.
        return True

    def check(self) -> None:
        super().check()
        self.check_network(self.dataset, self.validation)

    def describe_optimizer(self) -> str:
        if not self.is_code:
            return super().describe_optimizer()
        return f"{OWN_OPTIMIZER}, momentum down to {self.min_momentum:g}" if self.cycle_momentum else OWN_OPTIMIZER

    def _check_momentum(self) -> None:
        # Of a Python file's optimizer nothing is known yet.
        if not self.is_code:
            super()._check_momentum()

    def describe_augmentation(self) -> str:
        return "none, of points" if self.dataset == MOONS else super().describe_augmentation()
