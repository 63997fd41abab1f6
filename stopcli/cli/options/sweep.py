"""Options for how the runs of a sweep are executed."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.training import ExecutorName

option = in_panel("Sweep")

DryRun = Annotated[
    bool,
    option(
        "--dry-run",
        help="Print the plan and how long it will take, measured on a few steps of each arm; train nothing.",
    ),
]
Executor = Annotated[
    ExecutorName,
    option(help="What executes the runs of a sweep: processes of this machine (auto), this process, or a Ray cluster."),
]
Jobs = Annotated[
    int | None,
    option(help="Runs of a sweep at a time, ≥ 1.", show_default="one a core; one in all on a GPU"),
]
Threads = Annotated[
    int | None,
    option(
        help="Threads that each run computes with, ≥ 1. Its numbers depend on it in the last digits.",
        show_default="all cores; in a sweep its share of them",
    ),
]
RayAddress = Annotated[
    str,
    option(
        metavar="auto|HOST",
        help="The Ray cluster of a sweep: auto for this machine's, or its head's HOST or HOST:PORT.",
        show_default="one begun on this machine",
    ),
]
KeepGoing = Annotated[
    bool,
    option("--keep-going/--fail-fast", help="Whether the other runs of a sweep go on where one fails."),
]

# Of the commands that are sweeps in any case.
PLAN: Group = {"dry_run": WithDefault(DryRun, False)}
SWEEP: Group = {
    "executor": Executor,
    "jobs": Jobs,
    "threads": Threads,
    "ray_address": RayAddress,
    "keep_going": KeepGoing,
}
# What may be another each time that a sweep goes on.
HOW: Group = {name: SWEEP[name] for name in ("executor", "jobs", "ray_address")}
