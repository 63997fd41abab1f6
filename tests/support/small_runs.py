"""A small run of `stopcli moons` that has everything in it that a saved state holds, and such a run as it died."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from program import status_of

from stopcli.training.state_file import StateStore

MOONS = [
    "moons", "--batch-size", "8", "--hidden", "50", "--epochs", "6000", "--patience", "4000", "--min-delta", "0.001",
    "--checkpoint-every", "2000", "--restore-best", "--save-every", "500",
    "--tensorboard",
]  # fmt: skip


def died(finished: Path, epoch: int = 0, to: str = "died") -> Path:
    """A copy of a finished run as one that died in an epoch, with more on record than its last save knows."""
    run_dir = Path(to)
    shutil.copytree(finished, run_dir)
    assert StateStore(run_dir / "checkpoints" / "resume").load().state is not None
    for name in ("summary.json", "report.md", "report.html"):
        (run_dir / name).unlink()
    shutil.rmtree(run_dir / "plots", ignore_errors=True)
    for name in ("best.keras", "final.keras"):
        (run_dir / "checkpoints" / name).unlink()
    status = {**status_of(run_dir), "state": "running", "epoch": epoch}
    (run_dir / "status.json").write_text(json.dumps(status))
    return run_dir
