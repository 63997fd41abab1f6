"""Cold starts beside their least: a whole command beside TensorFlow and the loop, --help beside what prints it.

The two take turns, each in its own process: `stopcli moons --patience 200`, and a script that only imports TensorFlow
and compiles the same loop. The command's summary says where its seconds went.

    python benchmarks/cold_start.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import in_turn, ratio, seconds

ROUNDS = 5
HELP_ROUNDS = 20
HELP_FLOOR = "import typer, rich.console"
FLOOR = """
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
import tensorflow, keras
from stopcli.configs.base import resolve
from stopcli.configs.moons import MoonsConfig
from stopcli.recipes.moons import Moons
from stopcli.training.session import NullObserver
moons = Moons()
moons.build(moons.load(resolve(MoonsConfig, {}), NullObserver())).make_loop().compile()
"""


def python(*argv: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, *argv], check=True, capture_output=True))


def time_help() -> None:
    """Time `stopcli --help` beside importing what parses and prints it."""
    floors, commands = in_turn(
        HELP_ROUNDS + 1, lambda: python("-c", HELP_FLOOR), lambda: python("-m", "stopcli", "--help")
    )
    del floors[0], commands[0]
    print(f"{HELP_FLOOR}:     {statistics.median(floors):.3f} s")
    print(f"stopcli --help:                 {statistics.median(commands):.3f} s")
    print(f"ratio:                          {ratio(commands, floors)}")


def main() -> None:
    time_help()
    parts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:

        def command() -> float:
            run = Path(folder) / str(len(parts))
            spent = python("-m", "stopcli", "moons", "--patience", "200", "--run-dir", str(run))
            parts.append(json.loads((run / "summary.json").read_text())["seconds"])
            return spent

        floors, commands = in_turn(ROUNDS + 1, lambda: python("-c", FLOOR), command)
    # The first round reads TensorFlow's files from the disk; the others have them in memory.
    del floors[0], commands[0], parts[0]
    print(f"import and compile:             {statistics.median(floors):.2f} s")
    print(f"stopcli moons --patience 200:   {statistics.median(commands):.2f} s")
    print(f"ratio:                          {ratio(commands, floors)}")
    print("where the command's seconds go (medians):")
    for part in parts[0]:
        print(f"  {part:10} {statistics.median(run[part] for run in parts):.2f}")


if __name__ == "__main__":
    main()
