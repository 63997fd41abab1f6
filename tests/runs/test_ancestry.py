"""What of a run's environment.json says where it comes from."""

from __future__ import annotations

import pytest

from stopcli.runs.ancestry import ancestry_text
from stopcli.runs.environment import Environment


@pytest.mark.parametrize(
    ("ancestors", "text"),
    [
        (1, "run0 (2026-11-01, 10 rows trained)"),
        (2, "run1 (2026-11-02, 11 rows trained) ← run0 (2026-11-01, 10 rows trained)"),
        (5, "← run1 (2026-11-02, 11 rows trained) ← run0 (2026-11-01, 10 rows trained)"),
        (6, "← run2 (2026-11-03, 12 rows trained) ← 1 run more ← run0 (2026-11-01, 10 rows trained)"),
        (30, "← run26 (2026-11-27, 36 rows trained) ← 25 runs more ← run0 (2026-11-01, 10 rows trained)"),
    ],
)
def test_a_chain_is_told_from_the_newest_to_the_oldest_run(ancestors: int, text: str) -> None:
    chain = [{"run": f"/runs/run{i}", "time": f"2026-11-{i + 1:02}T01:00", "rows": 10 + i} for i in range(ancestors)]
    environment: Environment = {"init_from": {"path": "best.keras", "ancestors": chain[::-1]}}
    said = ancestry_text(environment)
    assert said.endswith(text)
    assert said.startswith(f"run{ancestors - 1} (")
    assert said.count("←") == min(ancestors, 6) - 1


def test_what_is_not_known_is_left_out() -> None:
    assert ancestry_text({}) == ""
    # As versions before wrote it, and of a file that is no run's.
    assert ancestry_text({"init_from": {"path": "/models/best.keras"}}) == "/models/best.keras"
    assert ancestry_text({"init_from": {"path": "a", "ancestors": [{"run": "/runs/a", "rows": None}]}}) == "a"
