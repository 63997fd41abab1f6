"""The curves of a range test in its folder: a file for each seed, and an index of the seeds that are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError
from stopcli.report.tables import Table
from stopcli.runs.files import read_checked, write_json, write_text
from stopcli.runs.metrics import read_metrics
from stopcli.training.fingerprint import PLACE_SETTINGS, changed_error, differences
from stopcli.training.rising_rate import RangeCurve

INDEX = "seeds.json"


@dataclass
class CurveStore:
    """The curves of the seeds that are done, by seed.

    Attributes:
        fingerprint: what their numbers depend on.
        notes: why seeds that an earlier session has done are tested again, a line each.
    """

    folder: Path
    fingerprint: dict[str, Any]
    curves: dict[int, RangeCurve] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, fingerprint: dict[str, Any], *, force: bool, data_hint: str = "") -> CurveStore:
        """What an earlier session has done; seeds whose files are not whole are left out.

        Args:
            fingerprint: of the test as it would be continued.
            force: where it differs, start over instead of raising.
            data_hint: what to do where the data differ.

        Raises:
            RequestError: settings, versions or data have changed.
        """
        store = cls(folder, fingerprint)
        index, damage = read_checked(folder / INDEX)
        if damage:
            store.notes.append(f"all seeds are tested again: {damage}")
        before = index.get("fingerprint", {})
        changed = differences(before, fingerprint, without=PLACE_SETTINGS) if index else []
        if changed and not force:
            raise changed_error(changed, hint=data_hint if fingerprint["data"] != before.get("data") else "")
        if changed:
            store.notes.append("all seeds are tested again, because of: " + "; ".join(changed))
            return store
        for seed, entry in index.get("seeds", {}).items():
            try:
                columns = read_metrics(_path(folder, int(seed)))
                curve = RangeCurve(columns["learning_rate"], columns["loss"], entry["ended"])
            except (RequestError, KeyError, ValueError) as error:
                store.notes.append(f"seed {seed} is tested again: {error}")
                continue
            if len(curve.rates) == entry.get("updates"):
                store.curves[int(seed)] = curve
            else:
                store.notes.append(f"seed {seed} is tested again: its file is not whole")
        return store

    def add(self, seed: int, curve: RangeCurve, smoothed: NDArray[np.float64]) -> None:
        """Write a seed's file, then the index that names it.

        Args:
            smoothed: the smoothed losses, for those who read the file.
        """
        # In float32, which is what was computed.
        columns = (column.astype(np.float32).astype(str).tolist() for column in (curve.rates, curve.losses, smoothed))
        rows = tuple((str(i), *row) for i, row in enumerate(zip(*columns, strict=True), start=1))
        table = Table("", ("step", "learning_rate", "loss", "smoothed_loss"), rows)
        write_text(_path(self.folder, seed), table.csv())
        self.curves[seed] = curve
        seeds = {str(n): {"updates": len(c.rates), "ended": c.ended} for n, c in sorted(self.curves.items())}
        write_json(self.folder / INDEX, {"fingerprint": self.fingerprint, "seeds": seeds})


def _path(folder: Path, seed: int) -> Path:
    return folder / f"steps-seed{seed}.csv"
