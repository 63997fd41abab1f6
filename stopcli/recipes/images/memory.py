"""Whether the batches of a sweep's runs fit into memory, asked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.data.memory import available_bytes
from stopcli.errors import RequestError
from stopcli.recipes.base import Loaded
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job

# Measured as the peak of a training process, ResNet-8, -20 and -44 on 64 to 2048 images of 32 × 32 and MiniGoogLeNet of
# a quarter and of full width on 64 to 512: what TensorFlow and the data take, and what an image of a batch takes for
# each of its pixels and with each block of a stage of a ResNet, or with the width of a MiniGoogLeNet.
_PROCESS_BYTES = 0.8e9
# Of the memory that is free; the estimate is good to a tenth.
_SHARE = 0.85

AnyImages = Any
"""Settings of a run on images: of ResNets alone, or with a `model`."""


def batch_bytes(config: AnyImages, height: int, width: int) -> float:
    """What training on one batch takes, roughly."""
    per_pixel: float = config.architecture.bytes_per_pixel(config)
    return per_pixel * height * width * float(config.batch_size * config.copies)


def check_fits(loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
    """`check_batches_fit` for a sweep's settings and images."""
    if not loaded.data.pixels:
        # Points take next to nothing.
        return
    height, width = loaded.data.parts.train.x.shape[1:3]
    check_batches_fit(jobs, layout, height, width)


def check_batches_fit(jobs: Sequence[Job[Any]], layout: Layout, height: int, width: int) -> None:
    """Raise RequestError where the jobs that run at a time would need more memory than there is.

    On a GPU, and on Ray's machines, the memory that counts is not this machine's.
    """
    free = available_bytes()
    if free is None or layout.gpu or layout.ray_address or not jobs:
        return
    needed = sorted((batch_bytes(job.config, height, width) + _PROCESS_BYTES for job in jobs), reverse=True)
    workers, room = min(layout.workers, len(jobs)), _SHARE * free
    if sum(needed[:workers]) <= room:
        return
    largest = max(jobs, key=lambda job: batch_bytes(job.config, height, width)).config
    one = batch_bytes(largest, height, width) / largest.copies
    fits = [int((room / at_once - _PROCESS_BYTES) / one) for at_once in (workers, 1)]
    images = largest.batch_size * largest.copies
    of_copies = f"M = {largest.copies} with " if largest.copies > 1 else ""
    model = largest.describe_model().removesuffix(" v1")
    raise RequestError(
        f"{of_copies}batch_size {largest.batch_size} trains {model} on {images:,} images at a time; "
        f"{workers} such runs at a time need about {sum(needed[:workers]) / 1e9:.1f} GB of memory, "
        f"and {free / 1e9:.1f} GB are free",
        hint=_what_fits(largest.copies, workers, fits),
    )


def _what_fits(copies: int, workers: int, fits: list[int]) -> str:
    """What would have room.

    Args:
        fits: the most copies, with `workers` runs at a time and with one.
    """
    if copies == 1:
        return "A smaller --batch-size needs less" + (", and so does --jobs 1." if workers > 1 else ".")
    most = f"At most M = {fits[0]} fits" if fits[0] > 0 else "No M fits, but a smaller --batch-size might"
    more = f"; with --jobs 1, M = {fits[1]}" if workers > 1 and fits[1] > max(fits[0], 0) else ""
    return f"{most}{more}."
