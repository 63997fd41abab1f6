"""Options for what is done to training images."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.recipes.images.settings import Augment as AugmentName
from stopcli.recipes.images.settings import EraseOrder

Pair = tuple[float, float]

PANEL = "Augmentation"

Augment = Annotated[
    AugmentName,
    typer.Option(
        help="simple: shift up to 4 pixels both ways, filled with 0, and flip half of them; nearest: shift up to 10 %, "
        "filled with the nearest pixels, and flip.",
        rich_help_panel=PANEL,
    ),
]
Erasing = Annotated[
    bool,
    typer.Option("--erasing/--no-erasing", help="Random erasing (Zhong et al.).", rich_help_panel=PANEL),
]
EraseP = Annotated[float, typer.Option(help="Probability of erasing an image, 0 … 1.", rich_help_panel=PANEL)]
EraseArea = Annotated[
    Pair,
    typer.Option(metavar="LOW HIGH", help="The box's share of the image, in (0, 1].", rich_help_panel=PANEL),
]
EraseAspect = Annotated[
    Pair, typer.Option(metavar="LOW HIGH", help="The box's height / width, > 0.", rich_help_panel=PANEL)
]
EraseLogAspect = Annotated[
    bool,
    typer.Option(
        "--erase-log-aspect/--no-erase-log-aspect",
        help="Draw the aspect's logarithm uniformly, as later practice does.",
        rich_help_panel=PANEL,
    ),
]
EraseValue = Annotated[
    Pair,
    typer.Option(metavar="LOW HIGH", help="What the box is filled with, in [0, 1].", rich_help_panel=PANEL),
]
ErasePixelLevel = Annotated[
    bool,
    typer.Option(
        "--erase-pixel-level/--no-erase-pixel-level",
        help="Fill every pixel and channel with a value of its own.",
        rich_help_panel=PANEL,
    ),
]
EraseOrderOption = Annotated[
    EraseOrder,
    typer.Option("--erase-order", help="Erase before or after the augmentation.", rich_help_panel=PANEL),
]
Cutout = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Cut a square of PX pixels out of every image.",
        show_default="none",
        rich_help_panel=PANEL,
    ),
]
Copies = Annotated[
    int,
    typer.Option(
        metavar="M",
        help="Enter every image of a batch M times, each copy augmented anew, for one update.",
        rich_help_panel=PANEL,
    ),
]

AUGMENTATION: Group = {
    "augment": Augment,
    "erasing": Erasing,
    "erase_p": EraseP,
    "erase_area": EraseArea,
    "erase_aspect": EraseAspect,
    "erase_log_aspect": EraseLogAspect,
    "erase_value": EraseValue,
    "erase_pixel_level": ErasePixelLevel,
    "erase_order": EraseOrderOption,
    "cutout": Cutout,
    "copies": Copies,
}
