"""The recipes of runs on images: how images are read, and how classifiers of them are built and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.configs.classifier import MOONS
from stopcli.configs.images import NEAREST_SHARE, SIMPLE_PIXELS, AugmentSettings, DataSettings, ImageConfig
from stopcli.configs.moons import DEFAULT_SHARES, MoonsConfig
from stopcli.configs.precision import policy_name
from stopcli.configs.training import POINT
from stopcli.data.dataset import Splits, split_images, subsample
from stopcli.data.load import FolderRules, load_images
from stopcli.data.named import DATASET_NAMES
from stopcli.data.toy import moons, split_moons
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import LoadedConfig, SeedRecipe, run_marks, val_rows, which_model
from stopcli.recipes.class_results import classes_table, confusion_figure
from stopcli.recipes.image_checks import check_batches_fit, check_effects, images_in_several_parts
from stopcli.report.document import Table, csv_of
from stopcli.report.drawing import Draw, Figures, drawn_name
from stopcli.runs.files import dump_json
from stopcli.runs.metrics import Columns
from stopcli.runs.summary import CLASSES_FILE, ModelClasses
from stopcli.schedules.policy import policies
from stopcli.seeding import derive_seed
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from stopcli.augment.base import Augmentation, Step
    from stopcli.report.images import Mistake
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.session import Observer
    from stopcli.training.step import Inputs
    from stopcli.training.trainer import Experiment


# Images on the sheet, and how often each of them is augmented.
SHEET_IMAGES, SHEET_COLUMNS = 10, 5
WORST_IMAGES = 24


@dataclass(frozen=True)
class ImageParts:
    """Images to train on.

    Attributes:
        dataset: what they are: `cifar10`, `digits`, or a folder.
        parts: x uint8 [rows, height, width, 3], y int32 [rows].
        classes: the classes' names.
        pixels: whether the rows are images; else they are points, x float32 [rows, 2], y float32 [rows, 1] of 0 and 1.
    """

    dataset: str
    parts: Splits
    classes: tuple[str, ...]
    pixels: bool = True


def read_images(config: Any, observer: Observer) -> LoadedConfig:
    """Read, limit and split the images that settings name.

    Args:
        config: has DataSettings, AugmentSettings, `validation`, `share` and `scale`.

    Returns:
        The config with the data set that was found, and what validates (where they were `auto`), and, at quick scale,
        no more images than there are; the ImageParts; what there is to train on, as a sentence's beginning.
    """
    images = load_images(
        config.dataset,
        image_size=config.image_size,
        rules=FolderRules(config.validation, config.skip_unreadable),
        on_progress=observer.counted,
    )
    # An absolute path, for a config that is read again in another folder.
    known = images.name in DATASET_NAMES
    config = replace(
        config,
        dataset=images.name if known else str(Path(images.name).resolve()),
        validation=images.suggested if config.validation == "auto" else config.validation,
    )
    height, width = images.train.x.shape[1:3]
    effects = check_effects(config, height, width)
    parts = split_images(images, config.validation, config.share, config.data_seed)
    quick = type(config).quick if config.scale == "quick" else {}
    # The scale's limits, not the user's, who would want to know that there are fewer.
    for name, rows in (("limit", parts.train), ("test_limit", parts.test)):
        if getattr(config, name) is not None and getattr(config, name) == quick.get(name):
            config = replace(config, **{name: min(getattr(config, name), rows.count)})
    parts = limit_parts(parts, config, images.classes)
    if config.skip_unreadable and known:
        effects.append(f"skip_unreadable has no effect on {images.name}")
    share = f" of {images.train.count:,}" if parts.train.count < images.train.count else ""
    description = (
        f"Data: {images.name}, {len(images.classes)} classes, {height} × {width}: {parts.train.count:,}{share} "
        f"{agreeing(images.train.count, 'image', 'images')} to train on"
    )
    notes = (*images.notes, *images_in_several_parts(parts), *effects)
    files = {"left_out.csv": csv_of(images.left_out)} if images.left_out else {}
    return LoadedConfig(config, ImageParts(images.name, parts, images.classes), notes, (description,), files=files)


def limit_parts(parts: Splits, config: DataSettings, classes: tuple[str, ...]) -> Splits:
    """Parts with no more images than the settings say. Images that validate and test stay the same ones."""
    if config.limit is not None:
        parts = replace(parts, train=subsample(parts.train, config.limit, config.data_seed, classes))
    if config.test_limit is not None:
        test = subsample(parts.test, config.test_limit, config.data_seed, classes, setting="test_limit")
        parts = replace(parts, test=test, validation=parts.validation if parts.test_is_held_out else test)
    return parts


class ImageRecipe(SeedRecipe):
    """A classifier of images: its data, its training, and what a run says of them."""

    def title(self, config: Any, dataset: str | None = None) -> str:
        """The model, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        # Where a command trains several models, the arm begins with their name.
        arm = config.arm.removeprefix(f"{getattr(config, 'model', '')}-").replace("-", " ")
        return f"{config.describe_model()} on {drawn_name(Path(dataset or config.dataset).name)}, {arm}{scale}"

    def read(self, config: Any, observer: Observer) -> LoadedConfig:
        """The data, as `read_images` gives them."""
        return read_images(config, observer)

    def load(self, config: Any, observer: Observer) -> LoadedConfig:
        loaded = self.read(config, observer)
        config, parts = loaded.config, loaded.data.parts
        steps = parts.train.batches(config.batch_size)
        where = " (its validation folder)" if config.validation == "folder" else ""
        validated = f"{parts.validation.count:,} to validate{where}, " if parts.test_is_held_out else ""
        description = (
            f"{loaded.description[0]}, {validated}{parts.test.count:,} to test.",
            f"Training: {config.describe_model()}, {counted(config.epochs, 'epoch')} of {counted(steps, 'step')}, "
            f"batch {config.batch_size}, {config.describe_optimizer()}, {config.describe_learning_rate()}.",
            f"Augmentation: {config.describe_augmentation()}.",
        )
        notes = config.notes_on_rows(parts, "image" if loaded.data.pixels else POINT) + config.notes_on_updates(steps)
        files = {**loaded.files}
        if loaded.data.pixels:
            classes = ModelClasses(loaded.data.dataset, loaded.data.classes, *parts.train.x.shape[1:])
            files[CLASSES_FILE] = dump_json(classes) + "\n"
        return replace(loaded, notes=(*loaded.notes, *notes), description=description, files=files)

    def check_fits(self, loaded: LoadedConfig, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        # Points take next to nothing.
        if loaded.data.pixels:
            check_batches_fit(jobs, layout, *loaded.data.parts.train.x.shape[1:3])

    def build(self, loaded: LoadedConfig) -> Experiment:
        """Model, augmentation, schedule and rules of a run."""
        from stopcli.schedules.cyclic import CyclicMomentum
        from stopcli.training.step import BINARY_ACCURACY, CLASS_ACCURACY
        from stopcli.training.trainer import Experiment

        config: ImageConfig = loaded.config
        images: ImageParts = loaded.data
        model = make_model(config, images, config.seed)
        optimizer = optimizer_of(config, config.learning_rate)
        loss = loss_of(images)
        # Compiled only for its file: whoever loads it can evaluate it and train it further.
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
        steps_per_epoch = images.parts.train.batches(config.batch_size)
        policy = policies()[config.lr_policy]
        schedule = policy.schedule(config, steps_per_epoch)
        return Experiment(
            model,
            optimizer,
            loss,
            (CLASS_ACCURACY if images.pixels else BINARY_ACCURACY,),
            images.parts,
            config.batch_size,
            config.epochs,
            config.seed,
            config.stop_plan(steps_per_epoch),
            dataset=images.dataset,
            jit_compile=xla_pays(),
            long_epochs=True,
            inputs=inputs_of(config, images),
            schedule=schedule,
            momentum=CyclicMomentum(schedule, config.min_momentum, config.momentum) if config.cycle_momentum else None,
            log_steps=config.logs_steps,
            plateau=policy.plateau(config),
            classes=images.classes if images.pixels else (),
        )

    def run_figures(
        self, config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """Curves, learning rates, augmented images, and, where the model was evaluated, its confusions and mistakes."""
        # Here and below, because tables are made without matplotlib.
        from stopcli.report.images import worst_images
        from stopcli.report.learning_rates import learning_rate_by_step

        title = f"{self.title(config, experiment.dataset)}: seed {config.seed}"
        figures: dict[str, Draw] = {}
        if len(metrics["epoch"]):
            figures["curves"] = lambda: _curves(config, experiment, evaluation, metrics, title)
        if steps is not None and len(steps["step"]):
            figures["learning_rate"] = lambda: learning_rate_by_step(steps, config.describe_learning_rate())
        if not experiment.classes:
            # Points of a plane are nothing to look at one by one.
            return figures
        figures["augmented"] = lambda: _sheet(config, experiment)
        if evaluation.test_predictions is not None:
            predictions, model = evaluation.test_predictions, which_model(evaluation.summary)
            worst = f"{model}: the test images that it misclassified most confidently"
            figures["confusion"] = lambda: confusion_figure(
                experiment.parts.test.y, np.argmax(predictions, axis=1), experiment.classes, model
            )
            figures["worst"] = lambda: worst_images(_mistakes(experiment, predictions), worst)
        return figures

    def run_tables(self, experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
        """Precision, recall and F1 by class of the model that the run leaves, on the test images."""
        if evaluation.test_predictions is None or not experiment.classes:
            return {}
        predicted = np.argmax(evaluation.test_predictions, axis=1)
        model = which_model(evaluation.summary)
        return {"classes": classes_table(experiment.parts.test.y, predicted, experiment.classes, model)}


def make_model(config: Any, images: ImageParts, seed: int) -> keras.Model:
    """The model, not compiled: from float32 images in [0, 1] to class probabilities, or from points to the probability
    of class 1.

    Args:
        config: has an `architecture`, with what it reads, `subtract_mean` and `precision`.
        seed: of the initial weights.
    """
    train, precision = images.parts.train.x, policy_name(config.precision)
    if not images.pixels:
        return config.architecture.build_for_points(config, train.shape[1], seed, precision)
    return config.architecture.build(
        config,
        train.shape[1:],
        len(images.classes),
        seed,
        mean_image=np.asarray(np.mean(train, axis=0) / 255, np.float32) if config.subtract_mean else None,
        precision=precision,
    )


def optimizer_of(config: Any, learning_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer that the settings name.

    Args:
        config: has `optimizer`, `momentum`, `nesterov` and `precision`.
    """
    from stopcli.models.layers import make_optimizer

    precision = policy_name(config.precision)
    return make_optimizer(
        config.optimizer, learning_rate, config.momentum, nesterov=config.nesterov, precision=precision
    )


def loss_of(images: ImageParts) -> keras.losses.Loss:
    """The loss: of class indices, or of one probability."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy() if images.pixels else keras.losses.BinaryCrossentropy()


def inputs_of(config: AugmentSettings, images: ImageParts) -> Inputs:
    """What happens to a batch before the model sees it; nothing to points."""
    from stopcli.training.step import Inputs, from_bytes

    return Inputs(from_bytes, make_augmentation(config), config.copies) if images.pixels else Inputs()


def xla_pays() -> bool:
    """Whether XLA makes convolutions faster: on a GPU, not on a CPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _curves(
    config: ImageConfig, experiment: Experiment, evaluation: Evaluation, metrics: Columns, title: str
) -> Figure:
    from stopcli.report.curves import error_curves

    marks = run_marks(config, evaluation.summary)
    loss_name = "cross-entropy + L2" if experiment.model.losses else "cross-entropy"
    cycle = sum(config.cycle_updates(experiment.steps_per_epoch)) / experiment.steps_per_epoch
    return error_curves(metrics, val_rows(config), marks, title, loss_name, cycle if config.cyclical else None)


def _sheet(config: ImageConfig, experiment: Experiment) -> Figure:
    """Training images as they are, and as the first updates would see them."""
    import tensorflow as tf

    from stopcli.report.images import image_sheet

    train, inputs = experiment.parts.train, experiment.inputs
    # One of each class, as far as there are so many.
    indices = [int(np.flatnonzero(train.y == label)[0]) for label in _labels(experiment)[:SHEET_IMAGES]]
    images = inputs.prepare(tf.constant(train.x[indices]))
    columns = [images.numpy()]
    if inputs.augment is not None:
        seed = derive_seed(config.seed, "sheet")
        columns += [inputs.augment(images, tf.constant([seed, i], tf.int32)).numpy() for i in range(SHEET_COLUMNS)]
    names = ["as it is", *map(str, range(1, len(columns)))]
    classes = [experiment.classes[int(train.y[i])] for i in indices]
    return image_sheet(
        columns, names, classes, f"Training images as they are, and augmented: {config.describe_augmentation()}"
    )


def _mistakes(experiment: Experiment, predictions: NDArray[Any]) -> list[Mistake]:
    """The misclassified test images, the one with the most confident wrong class first."""
    from stopcli.report.images import Mistake

    test, classes = experiment.parts.test, experiment.classes
    predicted, confidence = np.argmax(predictions, axis=1), np.max(predictions, axis=1)
    wrong = np.flatnonzero(predicted != test.y)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST_IMAGES]
    return [
        Mistake(test.x[i] / np.float32(255), classes[int(test.y[i])], classes[int(predicted[i])], float(confidence[i]))
        for i in worst
    ]


def _labels(experiment: Experiment) -> list[int]:
    return list(range(len(experiment.classes)))


def make_augmentation(settings: AugmentSettings) -> Augmentation | None:
    """What is done to training images in [0, 1]; None for nothing."""
    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

    shifts: dict[str, list[Step]] = {
        "none": [],
        "simple": [ShiftAndFlip(SIMPLE_PIXELS)],
        "nearest": [ShiftAndFlip(fill="nearest", fraction=NEAREST_SHARE)],
    }
    steps = shifts[settings.augment]
    if settings.erasing:
        erase = ErasingOp(
            settings.erase_p,
            settings.erase_area,
            settings.erase_aspect,
            settings.erase_value,
            settings.erase_pixel_level,
            settings.erase_log_aspect,
        )
        steps.insert(0 if settings.erase_order == "before" else len(steps), erase)
    if settings.cutout is not None:
        steps.append(CutoutOp(settings.cutout))
    return Augmentation(tuple(steps)) if steps else None


def read_data(config: Any, observer: Observer) -> LoadedConfig:
    """The images, as `read_images` gives them; or the rows of `stopcli moons`: 30 to train, 70 to test.

    Args:
        config: has what `read_images` reads, an `architecture` and `validation_share`.
    """
    if config.dataset != MOONS:
        loaded = read_images(config, observer)
        config.architecture.check_sides(*loaded.data.parts.train.x.shape[1:3])
        return loaded
    if config.validation == "auto":
        config = replace(config, validation="test")
    rows = moons(MoonsConfig.samples, MoonsConfig.noise, MoonsConfig.data_seed)
    share = config.validation_share or DEFAULT_SHARES.get(config.validation, 0.0)
    parts = split_moons(rows, MoonsConfig.train_size, config.validation, share)
    description = f"Data: moons, 2 classes, points of a plane: {parts.train.count} to train on"
    return LoadedConfig(config, ImageParts(MOONS, parts, ("0", "1"), pixels=False), description=(description,))


class CifarResnet(ImageRecipe):
    """ResNet v1 on images, with augmentation, erasing or cutout copies."""


class Classifier(ImageRecipe):
    """A ResNet, an MLP or MiniGoogLeNet on images, or an MLP on the two moons."""

    def read(self, config: Any, observer: Observer) -> LoadedConfig:
        return read_data(config, observer)
