"""Options for what is saved of a run, and what it begins from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.option_groups import Group, WithDefault
from stopcli.config import Mode

PANEL = "Checkpoints"

Checkpoint = Annotated[bool, typer.Option("--checkpoint/--no-checkpoint", help="Save models.", rich_help_panel=PANEL)]
CheckpointMonitor = Annotated[
    str, typer.Option(help="The metric by which the best model is saved.", rich_help_panel=PANEL)
]
CheckpointMode = Annotated[
    Mode, typer.Option(help="Whether lower or higher is better; auto: by the metric.", rich_help_panel=PANEL)
]
CheckpointEvery = Annotated[
    str,
    typer.Option(
        metavar="best|all|N",
        help="Besides the best epoch's model, also keep every epoch's, or every N-th.",
        rich_help_panel=PANEL,
    ),
]
SaveEvery = Annotated[
    str,
    typer.Option(
        metavar="auto|N|TIME",
        help="Save the exact state every N epochs, or every so often (30s, 5m); auto: at no more than 2 % of the time.",
        rich_help_panel=PANEL,
    ),
]
InitFrom = Annotated[
    Path | None,
    typer.Option(
        help="Begin from the weights of a run's best model, or of a .keras file.",
        show_default="drawn by the seed",
        exists=True,
        resolve_path=True,
        rich_help_panel=PANEL,
    ),
]
InitOptimizer = Annotated[
    bool,
    typer.Option(
        "--init-optimizer/--no-init-optimizer",
        help="Take the optimizer's state from there too.",
        rich_help_panel=PANEL,
    ),
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
