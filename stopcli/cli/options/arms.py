"""Options for what a sweep compares."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.cutout_sweep import Equal

option = in_panel("Arms")

CopiesList = Annotated[
    list[str] | None,
    option(
        "--m",
        metavar="M …",
        help="Copies of every image in a batch, a list: --m 2 4 8 or --m 2,4,8. Each ≥ 1.",
        show_default="2 4 8 16 32; quick: 2 4 8",
    ),
]
BaselineArm = Annotated[
    bool,
    option("--baseline/--no-baseline", help="Also train without copies and cutout."),
]
CutoutSize = Annotated[int, option(help="Pixels of a cutout's side, ≥ 1.")]
EqualTo = Annotated[
    Equal,
    option(
        help="What the arms have equal. epochs: as published, M times the images in as many updates; updates: as many "
        "updates on as many images, of which 1/M differ; compute: as many images in batches M times as large."
    ),
]
PolicyList = Annotated[
    list[str] | None,
    option(
        "--policy",
        metavar="POLICY …",
        help="Cyclical policies, a list: triangular, triangular2, exp_range, one-cycle.",
        show_default="triangular triangular2 exp_range",
    ),
]
FixedList = Annotated[
    list[str] | None,
    option(
        "--vs",
        metavar="POLICY …",
        help="What they are compared with, a list: constant, step, cosine; or none.",
        show_default="constant",
    ),
]
FixedRate = Annotated[
    float | None,
    option("--learning-rate", help="What the arms of --vs begin from, > 0.", show_default="--max-lr"),
]

CaseStudy = Annotated[
    bool,
    option(
        "--case-study/--no-case-study",
        help="Train all epochs once and read the four published arms off it, as a table with the published figures: no "
        "stopping, patience 0, patience 200, patience 200 with the best model saved and loaded.",
    ),
]

MOONS_ARMS: Group = {"case_study": CaseStudy}
CLR_ARMS: Group = {
    "policy": WithDefault(PolicyList, None),
    "vs": WithDefault(FixedList, None),
    "learning_rate": FixedRate,
}
CUTOUT_ARMS: Group = {
    # The setting is numbers; the option is words, which are split later.
    "m": WithDefault(CopiesList, None),
    "baseline_arm": BaselineArm,
    "cutout_size": CutoutSize,
    "equal": EqualTo,
}
