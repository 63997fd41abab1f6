"""What every request has in common that the program refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import run


def check_refused(
    argv: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong request ends with exit status 2, is told what is wrong on stderr alone, and leaves nothing."""
    # Lines that are not broken can be searched.
    monkeypatch.setenv("COLUMNS", "300")
    before = sorted(Path().rglob("*"))
    assert run(*argv) == 2
    printed = capsys.readouterr()
    assert answer in printed.err
    assert printed.out == ""
    assert sorted(Path().rglob("*")) == before
