"""How the figures of a training are called."""

from __future__ import annotations

from pathlib import Path

from stopcli.recipes.train.config import TrainConfig
from stopcli.report.drawing import drawn_name


def train_title(config: TrainConfig, dataset: str) -> str:
    """The model, its data and its arm; every figure says when it is of quick scale."""
    scale = " (quick scale)" if config.scale == "quick" else ""
    arm = config.arm.removeprefix(f"{config.model}-").replace("-", " ")
    return f"{config.describe_model()} on {drawn_name(Path(dataset).name)}, {arm}{scale}"
