"""Options for what a sweep compares."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group, WithDefault
from stopcli.recipes.cutout_sweep.config import Equal

PANEL = "Arms"

CopiesList = Annotated[
    list[str] | None,
    typer.Option(
        "--m",
        metavar="M …",
        help="Copies of every image in a batch, a list: --m 2 4 8 or --m 2,4,8. Each ≥ 1.",
        show_default="2 4 8 16 32; quick: 2 4 8",
        rich_help_panel=PANEL,
    ),
]
BaselineArm = Annotated[
    bool,
    typer.Option("--baseline/--no-baseline", help="Also train without copies and cutout.", rich_help_panel=PANEL),
]
CutoutSize = Annotated[int, typer.Option(help="Pixels of a cutout's side, ≥ 1.", rich_help_panel=PANEL)]
EqualTo = Annotated[
    Equal,
    typer.Option(
        help="What the arms have equal. epochs: as published, M times the images in as many updates; updates: as many "
        "updates on as many images, of which 1/M differ; compute: as many images in batches M times as large.",
        rich_help_panel=PANEL,
    ),
]

CUTOUT_ARMS: Group = {
    # The setting is numbers; the option is words, which are split later.
    "m": WithDefault(CopiesList, None),
    "baseline_arm": BaselineArm,
    "cutout_size": CutoutSize,
    "equal": EqualTo,
}
