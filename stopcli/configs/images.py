"""The settings of runs on images: data, augmentation, learning rate, optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from stopcli.configs.base import Count, Natural, NonNegative, Seed, SweepSettings, TrainingConfig
from stopcli.configs.stop_plan import requested_rules
from stopcli.errors import ConfigError
from stopcli.models.architecture import Architecture
from stopcli.quantities import counted
from stopcli.schedules.policy import POLICY_NAMES, Policy, policies
from stopcli.schedules.step_decay import parse_drops
from stopcli.stopping.combine import AtCycleEnds
from stopcli.stopping.rule import Rule

if TYPE_CHECKING:
    LearningRatePolicy = str
else:
    LearningRatePolicy = Literal[POLICY_NAMES]
CyclicModeName = Literal["triangular", "triangular2", "exp_range"]
# Beyond this a float32 would overflow with any gradient.
Rate = Annotated[float, Gt(0), Le(1e6)]
Momentum = Annotated[float, Ge(0), Lt(1)]
StopAt = Literal["epoch", "cycle-end"]
# Epochs that would end with a cycle are named where they are no more than so many times those that were asked for.
MOST_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class LearningRateConfig(TrainingConfig):
    """Training with a learning rate that moves; `learning_rate` is what it starts from (of `clr`: base_lr)."""

    lr_policy: LearningRatePolicy = "step"
    lr_drops: str = "auto"
    lr_min: NonNegative = 0.0
    lr_warmup: Natural = 0
    lr_factor: Annotated[float, Gt(0), Lt(1)] = 0.1
    lr_patience: Count = 10
    base_lr: NonNegative = 1e-7
    max_lr: Rate = 1e-2
    clr_mode: CyclicModeName = "triangular"
    gamma: Annotated[float, Gt(0), Le(1)] = 0.99994
    step_size: Annotated[float, Gt(0), Le(1e6)] = 8.0
    step_size_iterations: Annotated[int, Ge(1), Lt(2**31)] | None = None
    step_size_down: Annotated[float, Gt(0), Lt(2**31)] | None = None
    stop_at: StopAt = "epoch"
    momentum: Momentum = 0.0
    nesterov: bool = False
    cycle_momentum: bool = False
    min_momentum: Momentum = 0.8

    @property
    def schedule_depends_on_epochs(self) -> str:
        return f"lr_policy {self.lr_policy}" if self._policy.depends_on_epochs(self) else ""

    @property
    def _policy(self) -> Policy:
        return policies()[self.lr_policy]

    @property
    def stopping_names(self) -> frozenset[str]:
        names = super().stopping_names | {"stop_at"}
        # There the learning rate follows the monitored metric.
        return names - {"monitor", "mode"} if self._policy.follows_monitor else names

    def evaluated_rule(self, rule: Rule[Any], steps_per_epoch: int) -> Rule[Any]:
        if self.stop_at == "epoch":
            return rule
        return AtCycleEnds(rule, sum(self.cycle_updates(steps_per_epoch)), steps_per_epoch)

    @property
    def cyclical(self) -> bool:
        """Whether the learning rate goes through cycles."""
        return self._policy.cycles

    @property
    def logs_steps(self) -> bool:
        """Whether the learning rate and the loss of every update are written down."""
        return self._policy.per_update

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies of all runs that these settings describe, as `lr_policy` names them."""
        return (self.lr_policy,)

    def cycle_updates(self, steps_per_epoch: int) -> tuple[int, int]:
        """Updates of a cycle's way up, and of its way down: epochs rounded to whole updates, at least one."""
        unit = steps_per_epoch if self.step_size_iterations is None else 1
        up = self.step_size if self.step_size_iterations is None else self.step_size_iterations
        down = up if self.step_size_down is None else self.step_size_down
        return max(1, math.floor(up * unit + 0.5)), max(1, math.floor(down * unit + 0.5))

    def check_updates(self, steps_per_epoch: int) -> None:
        """Raise ConfigError where an epoch has too few updates for what the settings say of them."""
        for name in self.policies:
            policies()[name].check_updates(self, steps_per_epoch)

    def notes_on_updates(self, steps_per_epoch: int) -> tuple[str, ...]:
        """What is to be said of the updates, once an epoch's are known.

        Raises:
            ConfigError: they are too few for what the settings say of them.
        """
        self.check_updates(steps_per_epoch)
        return tuple(filter(None, [self.mid_cycle(steps_per_epoch), *self.late_cycles(steps_per_epoch)]))

    def late_cycles(self, steps_per_epoch: int) -> list[str]:
        """What is to be said of rules that come too late for being asked at the ends of cycles alone."""
        cycle = sum(self.cycle_updates(steps_per_epoch))
        # Where no cycle ends at all, that is said of all rules; of those that come too late anyway, each.
        if self.stop_at == "epoch" or cycle > self.epochs * steps_per_epoch:
            return []
        rules = [(label, rule, self.evaluated_rule(rule, steps_per_epoch)) for label, rule in requested_rules(self)]
        return [
            f"{label}, asked at the ends of cycles alone, stops no training of {counted(self.epochs, 'epoch')} before "
            f"its end: it can after epoch {at_ends.earliest_stop:,} at the earliest"
            for label, rule, at_ends in rules
            if rule.earliest_stop < self.epochs <= at_ends.earliest_stop
        ]

    def mid_cycle(self, steps_per_epoch: int) -> str:
        """What is to be said where training would end within a cycle; empty where it ends with one.

        Args:
            steps_per_epoch: updates of an epoch.
        """
        cycle, updates = sum(self.cycle_updates(steps_per_epoch)), self.epochs * steps_per_epoch
        # After so many epochs, and their multiples, a cycle ends together with an epoch.
        whole = math.lcm(cycle, steps_per_epoch) // steps_per_epoch
        if not self.cyclical or self.epochs % whole == 0:
            return ""
        no_end = "; no cycle ends before the training does, so no rule is ever asked"
        remark = no_end if self.stop_at == "cycle-end" and cycle > updates else ""
        if whole > MOST_TIMES * self.epochs:
            step = self.epochs / (2 * max(1, round(updates / cycle)))
            return (
                f"training ends within a cycle of the learning rate ({counted(cycle / steps_per_epoch, 'epoch')}); "
                f"a step size of {counted(step, 'epoch')} would end with one{remark}"
            )
        ends = sorted({max(1, self.epochs // whole) * whole, (self.epochs // whole + 1) * whole})
        return (
            f"training ends within a cycle of the learning rate ({counted(cycle / steps_per_epoch, 'epoch')}); "
            f"{' or '.join(map(str, ends))} epochs would end with one{remark}"
        )

    def check(self) -> None:
        super().check()
        self.check_learning_rate()

    def check_learning_rate(self) -> None:
        """Raise ConfigError where what the policy reads does not go together."""
        parse_drops(self.lr_drops, self.epochs)
        self._policy.check(self)
        if self.stop_at == "cycle-end" and not self.cyclical:
            expected = f"epoch, because with lr_policy {self.lr_policy} the learning rate has no cycles"
            raise ConfigError("stop_at", self.stop_at, expected)
        if self.step_size_iterations is not None and (self.step_size_down or 1) != int(self.step_size_down or 1):
            expected = "whole updates, as step_size_iterations"
            raise ConfigError("step_size_down", self.step_size_down, expected)
        self._check_momentum()

    def _check_momentum(self) -> None:
        if not self.cycle_momentum:
            return
        if self.optimizer != "sgd":
            expected = f"optimizer sgd, because {self.optimizer} has no momentum that could move"
            raise ConfigError("cycle_momentum", True, expected)
        if not self._policy.moves_momentum and not self.cyclical:
            cycling = ", ".join(name for name, policy in policies().items() if policy.moves_momentum)
            expected = f"a policy with cycles ({cycling}); lr_policy {self.lr_policy} has none"
            raise ConfigError("cycle_momentum", True, expected)
        if self.min_momentum >= self.momentum:
            raise ConfigError("min_momentum", self.min_momentum, f"less than momentum ({self.momentum:g})")

    def late_settings(self) -> list[str]:
        return [*super().late_settings(), *(text for name in self.policies for text in policies()[name].warnings(self))]

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        warnings += [
            f"{name} has no effect with {self._policy_words}"
            for name in self.non_default(*read_by_policies(POLICY_NAMES))
            if name not in read_by_policies(self.policies)
        ]
        if self.step_size_iterations is not None and self.non_default("step_size"):
            warnings.append("step_size has no effect with step_size_iterations")
        if self.optimizer != "sgd":
            warnings += [
                f"{name} has no effect with optimizer {self.optimizer}"
                for name in self.non_default("momentum", "nesterov")
            ]
        elif self.nesterov and not self.momentum:
            warnings.append("nesterov has no effect without momentum")
        if self.non_default("min_momentum") and not self.cycle_momentum:
            warnings.append("min_momentum has no effect without cycle_momentum")
        if self.stop_at == "cycle-end" and self.rules == "no-stopping":
            warnings.append("stop_at has no effect without a rule that stops (patience, threshold, stop)")
        return warnings

    @property
    def _policy_words(self) -> str:
        return f"lr_policy {self.lr_policy}"

    def describe_optimizer(self) -> str:
        """The optimizer, in words."""
        if self.optimizer != "sgd" or not self.momentum:
            return self.optimizer
        moving = f"{self.momentum:g} to {self.min_momentum:g} and back" if self.cycle_momentum else f"{self.momentum:g}"
        return f"sgd with {'Nesterov ' if self.nesterov else ''}momentum {moving}"

    def describe_learning_rate(self) -> str:
        """How the learning rate moves, in words."""
        return self._policy.describe(self)

    def describe_step_size(self) -> str:
        """How long a cycle's ways are, in words."""
        unit = "epoch" if self.step_size_iterations is None else "update"
        up = self.step_size if self.step_size_iterations is None else self.step_size_iterations
        if self.step_size_down is None:
            return f"{counted(up, unit)} a step"
        return f"{counted(up, unit)} up, {self.step_size_down:g} down"


def read_by_policies(names: Iterable[str]) -> list[str]:
    """The settings that some policies read."""
    return list(dict.fromkeys(setting for name in names for setting in policies()[name].reads))


Augment = Literal["none", "simple", "nearest"]
EraseOrder = Literal["before", "after"]
Range = tuple[float, float]
Probability = Annotated[float, Ge(0), Le(1)]

# `folder`: the images of a folder beside train/ and test/ validate.
ImageValidation = Literal["test", "split", "holdout", "folder"]

# A share that is split off where the user names none.
DEFAULT_SHARE = 0.1
# How far the augmentations shift images: in pixels, and as a share of height and width, as in A. Rosebrock's
# experiment.
SIMPLE_PIXELS, NEAREST_SHARE = 4, 0.1


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which images are trained on."""

    dataset: str = "auto"
    image_size: Annotated[int, Ge(8), Le(1024)] | None = None
    limit: Count | None = None
    test_limit: Count | None = None
    data_seed: Seed = 0
    subtract_mean: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What is done to training images; the defaults are those of the sources (Zhong et al. 2017, He et al. 2015)."""

    augment: Augment = "simple"
    erasing: bool = False
    erase_p: Probability = 0.5
    erase_area: Range = (0.02, 0.4)
    erase_aspect: Range = (0.3, 1 / 0.3)
    erase_log_aspect: bool = False
    erase_value: Range = (0.0, 1.0)
    erase_pixel_level: bool = False
    erase_order: EraseOrder = "before"
    cutout: Count | None = None
    copies: Annotated[int, Ge(1), Le(1024)] = 1

    @property
    def changes_images(self) -> bool:
        """Whether anything is done to training images at all."""
        return self.augment != "none" or self.erasing or self.cutout is not None

    @property
    def cut_out(self) -> tuple[str, int] | None:
        """The side of the square that cutout cuts out, behind the name of its setting; None for no cutout."""
        return None if self.cutout is None else ("cutout", self.cutout)

    def check_augmentation(self) -> None:
        """Raise ConfigError where a range is out of order or out of what images can have."""
        low, high = self.erase_area
        if not 0 < low <= high <= 1:
            raise ConfigError("erase_area", self.erase_area, "two shares of the image with 0 < LOW ≤ HIGH ≤ 1")
        low, high = self.erase_aspect
        if not 0 < low <= high < float("inf"):
            raise ConfigError("erase_aspect", self.erase_aspect, "two ratios of height to width with 0 < LOW ≤ HIGH")
        low, high = self.erase_value
        if low <= high <= 255 and high > 1:
            hint = "Divide by 255: --erase-value 0 255 is --erase-value 0 1 here."
            raise ConfigError(
                "erase_value", self.erase_value, "values in [0, 1], the scale that images are trained in", hint=hint
            )
        if not 0 <= low <= high <= 1:
            raise ConfigError("erase_value", self.erase_value, "two values of pixels with 0 ≤ LOW ≤ HIGH ≤ 1")

    def describe_augmentation(self) -> str:
        """What is done to training images, in words."""
        parts = {
            "none": [],
            "simple": [f"shift up to {SIMPLE_PIXELS} pixels and flip"],
            "nearest": [f"shift up to {NEAREST_SHARE * 100:g} % filled with the nearest pixels, and flip"],
        }[self.augment]
        if self.erasing:
            what = "each pixel anew" if self.erase_pixel_level else "one value a box"
            parts.insert(
                0 if self.erase_order == "before" else len(parts),
                f"random erasing (p = {self.erase_p:g}, {self.erase_area[0]:g} to {self.erase_area[1]:g} of the image, "
                f"{what})",
            )
        if self.cutout is not None:
            parts.append(f"cutout of {self.cutout} × {self.cutout} pixels")
        text = ", then ".join(parts) or "no augmentation"
        return (
            text if self.copies == 1 else f"{self.copies} copies of every image in a batch, each with its own: {text}"
        )


# What points of a plane have nothing of.
OF_IMAGES = (
    "image_size",
    "limit",
    "test_limit",
    "data_seed",
    "subtract_mean",
    "skip_unreadable",
    "augment",
    "erasing",
    "cutout",
    "copies",
    "mixed_precision",
)
_OF_SWEEPS = ("executor", "jobs", "ray_address", "keep_going")
_READ_BY_ERASING = (
    "erase_p",
    "erase_area",
    "erase_aspect",
    "erase_log_aspect",
    "erase_value",
    "erase_pixel_level",
    "erase_order",
)


@dataclass(frozen=True, kw_only=True)
class ImageConfig(DataSettings, AugmentSettings, SweepSettings, LearningRateConfig):
    """Training a classifier of images."""

    validation: ImageValidation = "test"  # type: ignore[assignment]
    mixed_precision: bool = False
    threads: Annotated[int, Ge(1), Le(1024)] | None = None

    @property
    def share(self) -> float:
        """The share of images that validate, where they are split off."""
        return self.validation_share or DEFAULT_SHARE

    @property
    def arm(self) -> str:
        policy = [] if self.lr_policy == "step" else [self.lr_policy]
        rules = [] if self.rules == "no-stopping" else [self.rules]
        return "-".join([*(self.augmentation_parts() or ["simple"]), *policy, *rules])

    def augmentation_parts(self) -> list[str]:
        """What of the augmentation is not as usual, in words that can be parts of a folder's name."""
        usual = {field.name: field.default for field in fields(self)}["augment"]
        parts = [] if self.augment == usual else [f"{self.augment.replace('none', 'no')}-augmentation"]
        if self.erasing:
            parts.append("pixel-erasing" if self.erase_pixel_level else "erasing")
        if self.cutout is not None:
            parts.append(f"cutout-{self.cutout}")
        if self.copies > 1:
            parts.append(f"m{self.copies}")
        return parts

    @property
    def cost(self) -> float:
        return float(self.copies * self.epochs)

    def check(self) -> None:
        super().check()
        self.check_augmentation()

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        if not self.is_sweep:
            warnings += [f"{name} has no effect on a single run" for name in self.non_default(*_OF_SWEEPS)]
        return [*warnings, *augmentation_warnings(self)]

    @property
    def architecture(self) -> Architecture:
        """The kind of network that is trained."""
        raise NotImplementedError

    def describe_model(self) -> str:
        """The network, in words."""
        return self.architecture.describe(self)


def augmentation_warnings(config: Any) -> list[str]:
    """What of the augmentation of a config (with AugmentSettings) has no effect."""
    warnings = []
    if not config.erasing:
        warnings += [f"{name} has no effect without erasing" for name in config.non_default(*_READ_BY_ERASING)]
    elif not config.erase_p:
        warnings.append("erase_p 0 erases nothing")
    if config.copies > 1 and not config.changes_images:
        warnings.append(
            f"copies {config.copies} are all the same without augmentation: the same updates at a higher cost"
        )
    return warnings
