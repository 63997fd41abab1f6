"""Shares of rows as whole rows."""

from __future__ import annotations

import math


def fraction_of(rows: int, fraction: float) -> int:
    """How many of some rows a share of them is, at least one and not all (`rows` ≥ 2)."""
    return min(max(math.floor(rows * fraction + 0.5), 1), rows - 1)
