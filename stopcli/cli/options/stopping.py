"""Options for when training stops."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.base import Mode
from stopcli.configs.learning_rate import StopAt

option = in_panel("Stopping")

Patience = Annotated[
    int | None,
    option(
        help="Stop after so many epochs without an improvement, ≥ 0. Without it, all epochs run.",
        show_default="no stopping",
    ),
]
Monitor = Annotated[str, option(help="The metric that stopping watches.")]
MonitorMode = Annotated[Mode, option(help="Whether lower or higher is better; auto: by the metric.")]
MinDelta = Annotated[float, option(help="A change of no more than this is no improvement, ≥ 0.")]
Baseline = Annotated[
    float | None,
    option(help="Only improvements beyond this value reset the wait.", show_default="none"),
]
StopBaseline = Annotated[
    float | None,
    option(
        "--stop-baseline",
        help="Only improvements beyond this value reset the wait (`--baseline` of the other commands).",
        show_default="none",
    ),
]
StartFromEpoch = Annotated[int, option(help="Epochs at the beginning that are not watched, ≥ 0.")]
Threshold = Annotated[
    float | None,
    option(help="Stop at the first epoch whose monitored metric reaches this value.", show_default="none"),
]
StopRules = Annotated[
    list[str] | None,
    option(
        "--stop",
        metavar="RULE …",
        help="Also stop by Prechelt's rules, a list; the first that fires counts. gl:2 (generalization loss, %), "
        "pq:0.75 (progress quotient), up:3 (strips of 5 epochs that rise).",
        show_default="none",
    ),
]
RestoreBest = Annotated[
    bool,
    option("--restore-best/--no-restore-best", help="End with the model of the best monitored epoch, not of the last."),
]

StopAtOption = Annotated[
    StopAt,
    option(
        "--stop-at",
        help="clr: whether rules may stop after any epoch, or only where a cycle ends.",
    ),
]

STOPPING: Group = {
    "patience": Patience,
    "monitor": Monitor,
    "mode": MonitorMode,
    "min_delta": MinDelta,
    "baseline": Baseline,
    "start_from_epoch": StartFromEpoch,
    "threshold": Threshold,
    "stop": WithDefault(StopRules, None),
    "restore_best": RestoreBest,
}
# Where the learning rate can have cycles.
CYCLE_STOPPING: Group = {**STOPPING, "stop_at": StopAtOption}
# Where --baseline is an arm.
STOPPING_BESIDE_ARMS: Group = {**CYCLE_STOPPING, "baseline": StopBaseline}

# What a run that was begun can have changed: its rules, from its beginning on. A word takes away what stands there.
NewPatience = Annotated[
    str | None,
    option("--patience", metavar="N|none", help="Stop after so many epochs without an improvement, ≥ 0."),
]
NewBaseline = Annotated[
    str | None,
    option("--baseline", metavar="X|none", help="Only improvements beyond this value reset the wait."),
]
NewThreshold = Annotated[
    str | None,
    option("--threshold", metavar="X|none", help="Stop at the first epoch whose monitored metric reaches this value."),
]
NewStopRules = Annotated[
    list[str] | None,
    option("--stop", metavar="RULE …|none", help="Prechelt's rules, a list: gl:2, pq:0.75, up:3."),
]
NEW_STOPPING: Group = {
    **CYCLE_STOPPING,
    "patience": NewPatience,
    "baseline": NewBaseline,
    "threshold": NewThreshold,
    "stop": NewStopRules,
}
