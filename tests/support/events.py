"""Event files as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def accumulated(folder: Path) -> Any:
    """What TensorBoard makes of a folder, all of it rather than a sample."""
    from stopcli.training.tf_setup import start_tensorflow

    # TensorBoard imports TensorFlow where it is installed: tests in this process that come later want it as the program
    # starts it.
    start_tensorflow()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def scalars_in(folder: Path) -> dict[str, tuple[list[int], np.ndarray]]:
    """The steps and the values of each tag."""
    events = accumulated(folder)
    return {
        tag: (
            [event.step for event in events.Scalars(tag)],
            np.array([e.value for e in events.Scalars(tag)], np.float32),
        )
        for tag in events.Tags()["scalars"]
    }
