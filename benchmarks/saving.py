"""What saving the exact state costs: its share of a run's time, at the default and at fixed intervals.

python benchmarks/saving.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

EPOCHS = 200_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for every in ("auto", "10000", "1000", "0.1s"):
            run = Path(folder) / every
            argv = ["moons", "--epochs", str(EPOCHS), "--save-every", every, "--quiet", "--run-dir", str(run)]
            subprocess.run([sys.executable, "-m", "stopcli", *argv], check=True, capture_output=True)
            seconds = json.loads((run / "summary.json").read_text())["seconds"]
            total = seconds["save"] + seconds["train"]
            print(f"--save-every {every:6} {EPOCHS:,} epochs: {seconds['save'] / total:.1%} of {total:.1f} s")


if __name__ == "__main__":
    main()
