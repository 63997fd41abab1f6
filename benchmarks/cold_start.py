"""The whole command, cold, beside what it cannot do without: importing TensorFlow and compiling the loop.

The two run in turn, each in a process of its own: `stopcli moons --patience 200`, and a script that imports TensorFlow
and compiles the same loop and does nothing else. The command's own summary says where its seconds went.

    python benchmarks/cold_start.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
FLOOR = """
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
import tensorflow, keras
from stopcli.config import resolve
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.build import build
from stopcli.recipes.moons.load import load
from stopcli.training.session import Silent
build(load(resolve(MoonsConfig, {}), Silent())).make_loop().compile()
"""


def seconds(*args: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    floors, commands, parts = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(ROUNDS + 1):
            run = Path(folder) / str(i)
            floor = seconds("-c", FLOOR)
            command = seconds("-m", "stopcli", "moons", "--patience", "200", "--run-dir", str(run))
            # The first round reads TensorFlow's files from the disk; the others have them in memory.
            if i:
                floors.append(floor)
                commands.append(command)
                parts.append(json.loads((run / "summary.json").read_text())["seconds"])
    ratios = [command / floor for command, floor in zip(commands, floors, strict=True)]
    print(f"import and compile:             {statistics.median(floors):.2f} s")
    print(f"stopcli moons --patience 200:   {statistics.median(commands):.2f} s")
    print(f"ratio:                          {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print("where the command's seconds go (medians):")
    for part in parts[0]:
        print(f"  {part:10} {statistics.median(p[part] for p in parts):.2f}")


if __name__ == "__main__":
    main()
