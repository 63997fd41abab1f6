"""Options for what is saved of a run, and what it begins from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.base import Mode
from stopcli.paths import parse_path

option = in_panel("Checkpoints")

Checkpoint = Annotated[bool, option("--checkpoint/--no-checkpoint", help="Save models.")]
CheckpointMonitor = Annotated[str, option(help="The metric by which the best model is saved.")]
CheckpointMode = Annotated[Mode, option(help="Whether lower or higher is better; auto: by the metric.")]
CheckpointEvery = Annotated[
    str,
    option(metavar="best|all|N", help="Besides the best epoch's model, also keep every epoch's, or every N-th."),
]
SaveEvery = Annotated[
    str,
    option(
        metavar="auto|N|TIME",
        help="Save the exact state every N epochs, or every so often (30s, 5m); auto: at no more than 2 % of the time.",
    ),
]


def _parse_resolved(text: str) -> Path:
    """Absolute: a run may be resumed in another folder."""
    return Path(os.path.realpath(parse_path(text)))


InitFrom = Annotated[
    Path | None,
    option(
        help="Begin from the weights of a run's best model, or of a .keras file.",
        show_default="drawn by the seed",
        metavar="<path>",
        parser=_parse_resolved,
    ),
]
InitOptimizer = Annotated[
    bool,
    option("--init-optimizer/--no-init-optimizer", help="Take the optimizer's state from there too."),
]

CHECKPOINTS: Group = {
    "checkpoint": Checkpoint,
    "checkpoint_monitor": CheckpointMonitor,
    "checkpoint_mode": CheckpointMode,
    "checkpoint_every": CheckpointEvery,
    "save_every": SaveEvery,
    # The setting is text, and empty for none, which is no path.
    "init_from": WithDefault(InitFrom, None),
    "init_optimizer": InitOptimizer,
}
