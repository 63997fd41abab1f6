"""Whether a compiled model of the user's is one that stopcli can train as `fit` would, before anything is created."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stopcli.configs.user_code import default_metric
from stopcli.data.dataset import Splits
from stopcli.data.nest import Nest, leaves, map_nest
from stopcli.errors import LONG_LINE, ConfigError, RequestError, did_you_mean, shortened
from stopcli.quantities import counted
from stopcli.recipes.user_targets import check_targets
from stopcli.runs.headline import LOSS, Headline, base_name, headline_of
from stopcli.stopping.rule import natural_direction, resolve_direction
from stopcli.training.tf_setup import hush_short_numbers

if TYPE_CHECKING:
    import keras

# What `fit` consists of. A model that brings one of its own is trained otherwise than by its compile.
_OVERRIDES = (
    "fit",
    "train_step",
    "test_step",
    "compute_loss",
    "compute_metrics",
    "get_metrics_result",
    "metrics",
    "reset_metrics",
    "make_train_function",
    "make_test_function",
    "train_on_batch",
)
# Columns that metrics.csv has of its own.
_RESERVED = ("loss", "epoch", "step", "learning_rate")
# Rows that a model is tried on: so many that neither one row nor a batch of the size of something else hides a mistake.
_FEW = 3


class ModelSettings(Protocol):
    """The settings of a run that a model is checked against."""

    @property
    def file(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def mode(self) -> Any: ...


@dataclass(frozen=True)
class ModelFacts:
    """What a compiled model is trained for.

    Attributes:
        metrics: what it measures beside `loss`, in the order in which it was compiled; of several outputs also the
            loss of each.
        headline: the metric that counts, one of them or the loss.
        parameters: how many numbers it trains.
        notes: what the user should know about it, a sentence without a full stop each.
    """

    metrics: tuple[str, ...]
    headline: Headline
    parameters: int
    notes: tuple[str, ...] = ()


def check_model(model: Any, parts: Splits, config: ModelSettings) -> ModelFacts:
    """Check what `build` of a file returned. A model that is not built yet is built on a row; its loss and its metrics
    are built as well.

    Args:
        parts: rows that it will be trained and measured on, with at least one that trains.

    Raises:
        RequestError: it is no model that can be trained on these rows as it is compiled.
        ConfigError: a setting names a metric that it does not measure, or whose direction is not known.
    """
    file = Path(config.file)
    check_compiled(model, file)
    hush_short_numbers(model)
    build_on_row(model, parts.train.x, file)
    few = parts.train.take(0, _FEW)
    with _of_the_file(file, f"the model cannot be called on {counted(few.count, 'training row')}"):
        outputs = _called(model, few.x)
    hint = 'A last layer with dtype="float32" has outputs that all losses and metrics take.'
    _check_added_losses(model, file)
    short = _short_outputs(outputs)
    what = "loss and metrics cannot be computed from the model's outputs and the targets"
    with _of_the_file(file, what, hint_of=lambda text: hint if any(dtype in text for dtype in short) else ""):
        check_targets(model, outputs, parts, file)
        # As `fit` does it with its first batch.
        batch = (_tensors(few.x), _tensors(few.y), *(() if few.weight is None else (_tensors(few.weight),)))
        model._symbolic_build(data_batch=batch)
    names = _metric_names(model, file)
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return ModelFacts(names, headline_among(names, config), parameters, tuple(_notes(model, outputs)))


def check_compiled(model: Any, file: Path) -> None:
    """Raise RequestError where something is no compiled Keras model, or one that is trained otherwise than by its
    compile."""
    import keras

    if model is None:
        raise _refusal(file, "build returned nothing (None)", "Does it end with `return model`?")
    if not isinstance(model, keras.Model):
        raise _refusal(file, f"build returned {_kind(model)}, expected a compiled keras.Model")
    if not model.compiled or model.optimizer is None:
        raise _refusal(
            file,
            "build returned a model that is not compiled",
            "Call model.compile(optimizer, loss, metrics=[…]) before returning it.",
        )
    if model._compile_loss is None:
        raise _refusal(
            file,
            "build returned a model that is compiled without a loss",
            "model.compile takes one, such as loss='mse'.",
        )
    if own := _overridden(model):
        raise _refusal(
            file,
            f"{type(model).__name__} has its own {own}; stopcli trains by what a model is compiled with",
            "A training loop of your own can be recorded: `from stopcli import Recorder`.",
        )
    if getattr(model.optimizer, "learning_rate", None) is None:
        raise _refusal(
            file,
            f"its optimizer, {type(model.optimizer).__name__}, has no single learning rate",
            "Compile it with one optimizer for all weights.",
        )
    if model.run_eagerly:
        raise _refusal(file, "the model is compiled with run_eagerly=True; stopcli trains in compiled functions only")
    if model.steps_per_execution != 1:
        raise _refusal(
            file,
            f"the model is compiled with steps_per_execution={model.steps_per_execution}, expected 1",
            "stopcli runs many steps a call by itself.",
        )
    # Under mixed_float16 it is within the one that scales the loss.
    if getattr(getattr(model.optimizer, "inner_optimizer", model.optimizer), "use_ema", False):
        raise _refusal(
            file,
            "its optimizer keeps a moving average of the weights (use_ema), which `fit` puts in their place when it "
            "ends; stopcli does not",
            "Compile it without use_ema.",
        )


def _overridden(model: Any) -> str:
    """What of `fit` a model has of its own; empty for nothing."""
    for name in _OVERRIDES:
        if name in vars(model):
            return name
        for owner in type(model).__mro__:
            if name in vars(owner):
                if not owner.__module__.startswith("keras."):
                    return name
                break
    return ""


def build_on_row(model: keras.Model, x: Nest, file: Path) -> None:
    """Create the weights of a model that waits for its first rows (a subclass, or a Sequential without an Input).

    Args:
        x: at least one row, of which the first is used, as a batch of 1.

    Raises:
        RequestError: the model cannot be called on it.
    """
    if model.built and all(layer.built for layer in model._flatten_layers()):
        return
    with _of_the_file(file, "the model cannot be called on a training row"):
        _called(model, map_nest(lambda array: array[:1], x))


def _called(model: Any, x: Nest) -> Nest:
    """What a model predicts for some rows. A recurrent layer with dropout draws its noise also here: its generator is
    put back, so that training begins as that of `fit`."""
    variables = list(model.non_trainable_variables)
    before = [variable.numpy() for variable in variables]
    outputs = model(_tensors(x), training=False)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return outputs


def _check_added_losses(model: Any, file: Path) -> None:
    """Raise RequestError where layers add losses that Keras, also of the saved model, cannot add to that of `compile`.

    Args:
        model: as it was called last.
    """
    import keras

    expected = keras.backend.standardize_dtype(model._compile_loss.dtype)
    for loss in model.losses:
        dtype = keras.backend.standardize_dtype(loss.dtype)
        if keras.backend.is_float_dtype(dtype) and dtype != expected:
            reason = f"a layer adds a loss in {dtype}, which Keras cannot add to the model's in {expected}"
            raise _refusal(file, reason, f'Give the layer dtype="{expected}", or cast what it adds.')


def _tensors(nest: Nest) -> Nest:
    import tensorflow as tf

    return map_nest(tf.constant, nest)


def _metric_names(model: Any, file: Path) -> tuple[str, ...]:
    """What `fit` logs of a built model beside the loss. Raises RequestError for names that two metrics have, that
    metrics.csv has itself, or that say of which rows they are; and for values that are no single number."""
    compiled = model._compile_metrics
    own = [model._loss_tracker, *([compiled] if compiled else []), *model._compile_loss.metrics]
    others = [metric.name for metric in model.metrics if all(metric is not known for known in own)]
    if others:
        raise _refusal(
            file,
            f"the model has metrics that it is not compiled with: {', '.join(others)}",
            "Name them in model.compile(metrics=[…]).",
        )
    if compiled is not None:
        _check_twins(compiled, file)
    results = compiled.result() if compiled is not None else {}
    names = (*results, *(metric.name for metric in model._compile_loss.metrics))
    for name, value in results.items():
        if isinstance(value, dict) or len(value.shape):
            shape = "a dict" if isinstance(value, dict) else f"an array {list(value.shape)}"
            raise _refusal(file, f"the metric {name} is {shape}, expected a single number", _averaging(model, name))
    for name in names:
        if name in _RESERVED:
            raise _refusal(file, f"a metric is called {name}, as a column that stopcli writes", "Give it another name.")
        if base_name(name) != name:
            raise _refusal(
                file,
                f"a metric is called {name}, which says of which rows it is; stopcli measures each on all parts",
                f"Call it {base_name(name)}.",
            )
        if re.search(r"[\s,\"';]", name):
            raise _refusal(file, f"a metric is called {name!r}, expected a name without spaces and commas")
    return names


def _averaging(model: Any, name: str) -> str:
    """A hint for metrics of Keras that give a value for each class, unless told otherwise."""
    metric = next((metric for metric in model._compile_metrics.metrics if metric.name == name), None)
    if hasattr(metric, "average"):
        return f"keras.metrics.{type(metric).__name__}(average='macro') gives one."
    return ""


def _check_twins(compiled: Any, file: Path) -> None:
    """Raise RequestError where two metrics of an output have one name, or one metric measures two outputs."""
    owners: dict[int, Any] = {}
    names: set[tuple[str, str]] = set()
    for group in [*compiled._flat_metrics, *compiled._flat_weighted_metrics]:
        for metric in group.metrics if group else ():
            name = (group.output_name or "", metric.name)
            if id(metric) in owners:
                raise _refusal(
                    file, f"one metric, {metric.name}, is compiled for two outputs", "Make one for each of them."
                )
            if name in names:
                raise _refusal(
                    file,
                    f"two metrics are called {metric.name}",
                    "Give one of them a name: keras.metrics.…(name='…').",
                )
            owners[id(metric)] = metric
            names.add(name)


def headline_among(names: Sequence[str], config: ModelSettings) -> Headline:
    """The metric that counts: the one that the settings name, or the first whose direction is known by its name, or the
    loss.

    Raises:
        ConfigError: the settings name none of these, or one whose direction is not known.
    """
    if not config.metric:
        return headline_of(default_metric(names)) or LOSS
    name = base_name(config.metric)
    if name == LOSS.name:
        return LOSS
    if name not in names:
        expected = f"one that the model is compiled with: {', '.join(('loss', *names))}"
        raise ConfigError("metric", config.metric, expected, hint=did_you_mean(name, ("loss", *names)))
    direction = natural_direction(name) or resolve_direction(name, config.mode)
    headline = headline_of(name, direction)
    assert headline is not None, "its direction is known"
    return headline


def _notes(model: Any, outputs: Nest) -> Iterator[str]:
    """What may surprise its author."""
    import tensorflow as tf

    short = _short_outputs(outputs)
    if short:
        yield f'the model\'s outputs are {short.pop()}: a last layer with dtype="float32" keeps their digits'

    # On a GPU Keras's own default is True.
    if model.jit_compile and not tf.config.list_physical_devices("GPU"):
        yield "jit_compile=True has no effect: whether XLA compiles the loop is measured, or chosen by --xla"
    metrics = [] if model._compile_metrics is None else model._compile_metrics.metrics
    logits = any(
        getattr(_config_of(loss.loss), "get", lambda _: False)("from_logits")
        for loss in model._compile_loss._flat_losses
    )
    for metric in metrics:
        if logits and type(metric).__name__ == "BinaryAccuracy" and getattr(metric, "threshold", 0.5) == 0.5:
            yield f"{metric.name} compares the model's outputs with 0.5, and its loss takes them as logits"


def _short_outputs(outputs: Nest) -> set[str]:
    """The dtypes of 16 bits that outputs have."""
    return {output.dtype.name for output in leaves(outputs)} & {"bfloat16", "float16"}


def _config_of(loss: Any) -> dict[str, Any]:
    try:
        return dict(loss.get_config())
    except (NotImplementedError, TypeError, ValueError):
        return {}


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _refusal(file: Path, message: str, hint: str = "") -> RequestError:
    return RequestError(f"{file.name}: {message}", hint=hint)


@contextmanager
def _of_the_file(file: Path, what: str, hint_of: Callable[[str], str] = lambda _: "") -> Iterator[None]:
    """Turn an error in the block into a RequestError that says what could not be done, where in the file, and why.

    Args:
        hint_of: the error's text → a hint, empty where there is none.
    """
    try:
        yield
    except (RequestError, MemoryError):
        raise
    # The user's layers, losses and metrics may raise anything.
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f"\n  line {frames[-1].lineno}, in {frames[-1].name}: {frames[-1].line}" if frames else ""
        raise _refusal(file, f"{what}: {reason_of(error)}{where}", hint_of(str(error))) from error


def reason_of(error: BaseException) -> str:
    """What an error says in a line, without what Keras puts around it."""
    # A KeyError shows its text as Python would write it.
    content = error.args[0] if isinstance(error, KeyError) and error.args else error
    # Colours of Keras's, and TensorFlow's names for its kernels.
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\}\s*", "", str(content))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    called = re.match(r"Exception encountered when calling (.*?)\.?$", lines[0]) if lines else None
    if called and len(lines) > 1:
        return shortened(f"{lines[1]} (in {called[1]})", LONG_LINE)
    return shortened(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, LONG_LINE)
