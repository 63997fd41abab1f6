"""Options for what is done to training images."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, in_panel
from stopcli.configs.images import Augment as AugmentName
from stopcli.configs.images import EraseOrder

Pair = tuple[float, float]

option = in_panel("Augmentation")

Augment = Annotated[
    AugmentName,
    option(
        help="simple: shift up to 4 pixels both ways, filled with 0, and flip half of them; nearest: shift up to 10 %, "
        "filled with the nearest pixels, and flip."
    ),
]
Erasing = Annotated[
    bool,
    option("--erasing/--no-erasing", help="Random erasing (Zhong et al.)."),
]
EraseP = Annotated[float, option(help="Probability of erasing an image, 0 … 1.")]
EraseArea = Annotated[
    Pair,
    option(metavar="LOW HIGH", help="The box's share of the image, in (0, 1]."),
]
EraseAspect = Annotated[Pair, option(metavar="LOW HIGH", help="The box's height / width, > 0.")]
EraseLogAspect = Annotated[
    bool,
    option(
        "--erase-log-aspect/--no-erase-log-aspect",
        help="Draw the aspect's logarithm uniformly, as later practice does.",
    ),
]
EraseValue = Annotated[
    Pair,
    option(metavar="LOW HIGH", help="What the box is filled with, in [0, 1]."),
]
ErasePixelLevel = Annotated[
    bool,
    option("--erase-pixel-level/--no-erase-pixel-level", help="Fill every pixel and channel with a value of its own."),
]
EraseOrderOption = Annotated[
    EraseOrder,
    option("--erase-order", help="Erase before or after the augmentation."),
]
Cutout = Annotated[
    int | None,
    option(metavar="PX", help="Cut a square of PX pixels out of every image.", show_default="none"),
]
Copies = Annotated[
    int,
    option(metavar="M", help="Enter every image of a batch M times, each copy augmented anew, for one update."),
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
