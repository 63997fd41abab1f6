"""Files that grow, and what is found out of one that somebody has changed before more is appended to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stopcli.errors import RecordError
from stopcli.runs.files import AppendedFile, Prefix, check_prefix

PATH = Path("metrics.csv")
HEADER = b"epoch,step,loss\n"
ROWS = [f"{epoch},{epoch},{1 / epoch}\n".encode() for epoch in range(1, 101)]


def opened(keep: Prefix | None = None) -> AppendedFile:
    return AppendedFile(PATH, HEADER, keep)


def written(rows: list[bytes] = ROWS) -> Prefix:
    file = opened()
    for row in rows:
        file.write(row)
    prefix = file.commit()
    file.close()
    return prefix


def test_the_hash_goes_on_with_the_file() -> None:
    part = written(ROWS[:40])
    assert part == Prefix(PATH.stat().st_size, hashlib.sha256(PATH.read_bytes()).hexdigest())
    with PATH.open("ab") as file:
        file.write(b"rows that were not committed\n")
    going_on = opened(part)
    for row in ROWS[40:]:
        going_on.write(row)
    whole = going_on.commit()
    going_on.close()
    assert PATH.read_bytes() == HEADER + b"".join(ROWS)
    assert whole == Prefix(PATH.stat().st_size, hashlib.sha256(PATH.read_bytes()).hexdigest())


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a digit": (lambda content: content.replace(b"7,7,0.142", b"7,7,0.143"), "changed within its first"),
    "the head": (lambda content: content.replace(b"loss", b"Loss"), r"expected it to begin with epoch,step,loss\)"),
    "line ends": (lambda content: content.replace(b"\n", b"\r\n"), "begin with epoch,step,loss"),
    "line ends below the head": (
        lambda content: HEADER + content.removeprefix(HEADER).replace(b"\n", b"\r\n"),
        "its lines end otherwise: an editor has saved it",
    ),
    "quotes": (lambda content: content.replace(b"7,7,0", b'"7",7,0'), "changed within its first"),
    "cut": (lambda content: content[:-1], "shorter than when the run was saved"),
    "emptied": (lambda content: b"", r"received 0 bytes, expected 2,\d\d\d or more"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_not_what_was_committed_is_refused_and_left_as_it_is(change: str) -> None:
    prefix = written()
    changed, answer = CHANGES[change]
    content = changed(PATH.read_bytes())
    PATH.write_bytes(content)
    with pytest.raises(RecordError, match=rf"metrics\.csv: .*{answer}"):
        opened(prefix)
    assert PATH.read_bytes() == content


def test_what_is_no_regular_file_is_refused_without_waiting_for_it() -> None:
    with pytest.raises(RecordError, match=r"metrics\.csv: missing; it had 100 bytes when the run was saved"):
        check_prefix(PATH, Prefix(100))
    for keep in (Prefix(100), Prefix()):
        os.mkfifo(PATH)
        with pytest.raises(RecordError, match=r"metrics\.csv: not a regular file"):
            opened(keep)
        PATH.unlink()
        PATH.mkdir()
        with pytest.raises(RecordError, match=r"metrics\.csv: not a regular file"):
            opened(keep)
        PATH.rmdir()
