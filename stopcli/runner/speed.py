"""How fast a network trains on this machine, and what measures it; without TensorFlow, which only the measurement
needs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Protocol

from stopcli.runs.typed_json import Check
from stopcli.sweeps.plan import plan_jobs

# Images that are measured with, so that they are soon read and passed to TensorFlow.
_IMAGES = 2048
# Settings that change how many steps there are and at what rate, not how long one takes.
_NOT_OF_A_STEP = ("epochs", "step_size", "gamma")


AboveZero = Annotated[float, Check("a number > 0", lambda value: type(value) in (int, float) and value > 0)]


@dataclass(frozen=True)
class Speed:
    """How fast a network trains in one process of a sweep while the others train too.

    Attributes:
        network: in words, with what else decides its speed.
        row_seconds: of training, by row of a batch, copies counted.
        evaluated_row_seconds: of a row that is only predicted.
        start_seconds: from the start of a process to its first step: imports, data, building and compiling.
        processor_share: of the time of its core, or of what its container may use, what the process got, in (0, 1];
            other programs had the rest. None on a GPU and with several threads, for which a process waits.
    """

    network: str
    row_seconds: AboveZero
    evaluated_row_seconds: AboveZero
    start_seconds: AboveZero
    processor_share: float | None


class Meter(Protocol):
    """Measures networks, and predicts by that how long sweeps take."""

    def computes_bfloat16(self) -> bool:
        """Whether what trains here multiplies bfloat16 numbers: the GPU where there is one, else the processor."""

    def known(self, config: Any) -> Speed | None:
        """The speed of a sweep's network where it was measured already."""

    def speed(self, config: Any) -> Speed:
        """Measure the network of a sweep, once: that of the arm that others are compared with. Raises ResourceError
        where it cannot be measured, such as for want of memory."""

    def predicted_seconds(self, config: Any, speed: Speed) -> float:
        """How long a sweep will take in a process of its own, from its start to its report. The speed by row is taken
        to be the same in all arms."""


def measured_config(config: Any, images: int, test_images: int) -> Any:
    """The run by which a sweep is measured: one of the arm that others are compared with, on few of the images that
    there are. The same for sweeps that differ only in how much they train."""
    run = next(job.config for job in plan_jobs(config, 1) if job.is_reference)
    defaults = {field.name: field.default for field in fields(run)}
    counts = {"limit": min(images, _IMAGES), "test_limit": min(test_images, _IMAGES)}
    unchanged = {name: defaults[name] for name in _NOT_OF_A_STEP if name in defaults}
    return replace(run, seed=defaults["seed"], scale="full", **counts, **unchanged)


def describe_network(config: Any) -> str:
    """What a run's speed depends on, in words."""
    return f"{config.describe_model()}, batches of {config.batch_size}, {config.precision}"
