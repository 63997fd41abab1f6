"""What a user's own code wrote to a run's folder `after/`, as a section of its report.

The folder may be a stranger's: links are not followed, nothing but regular files is opened, no more is read than is
shown, and whatever the files hold is shown as what it is: an image in an image's element, in which scripts of an SVG do
not run, and text as text.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from stopcli.errors import printable
from stopcli.quantities import agreeing, counted, format_bytes
from stopcli.report.document import Bullets, Code, Image, Paragraph, Part, Section, Table, code

FOLDER = "after"
TITLE = "What the file's after() wrote"
# Files that are looked at, and how deep they may lie.
MOST_FILES, DEEPEST = 200, 4
MOST_IMAGES, MOST_TABLES, MOST_TEXTS = 24, 12, 6
# In bytes, of an image and of all of them: a larger one is in the list of files.
LARGEST_IMAGE, LARGEST_IMAGES = 4 << 20, 16 << 20
# Of a table, and of a text.
MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 20, 10, 60
LONGEST_TEXT = 4000
# In bytes, of the beginning of a table.
_READ_OF_A_TABLE = 1 << 18
_IMAGES = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".svg": (),
}
_TABLES = (".csv", ".tsv")
_TEXTS = (".txt", ".md", ".log")


def after_section(run: Path) -> list[Section]:
    """A section of what `after()` wrote to a run's folder; none where it wrote nothing."""
    folder = run / FOLDER
    files = list(_files(folder))
    shown, others = files[:MOST_FILES], files[MOST_FILES:]
    images, tables, texts = list[Part](), list[Part](), list[Part]()
    listed, room = list[str](), LARGEST_IMAGES
    for path, size in shown:
        name, ending = path.relative_to(run).as_posix(), path.suffix.lower()
        part: Part | None = None
        if ending in _IMAGES and len(images) < MOST_IMAGES and size <= min(LARGEST_IMAGE, room):
            part = Image(name, f"{printable(path.name)}, drawn by after().") if _is_image(path, ending) else None
            images += [part] if part else []
            room -= size
        elif ending in _TABLES and len(tables) < MOST_TABLES:
            part = _table(path, size)
            tables += [part] if part else []
        elif ending in _TEXTS and len(texts) < MOST_TEXTS:
            text = _text(path, size)
            part = Code(text) if text else None
            texts += [Paragraph(f"{code(printable(name))}:"), part] if part else []
        if part is None:
            listed.append(f"{code(printable(name))} ({format_bytes(size)})")
    if others:
        listed.append(f"and {counted(len(others), 'more file')}")
    parts = [*images, *tables, *texts]
    if listed:
        lie = agreeing(len(listed), "This file lies", "These files lie")
        parts += [Paragraph(f"{lie} in the run's folder:"), Bullets(tuple(listed))]
    return [Section(TITLE, tuple(parts))] if parts else []


def after_section_of_sweep(sweep: Path, runs: Mapping[str, str]) -> list[Section]:
    """A section of the images that `after()` wrote to the folders of some of a sweep's runs; none where it wrote none.

    Args:
        runs: names of folders in its `jobs/`, by what they are called, such as the first run of each arm.
    """
    parts, room, images = list[Part](), LARGEST_IMAGES, 0
    for label, name in runs.items():
        of_run = list[Part]()
        for path, size in itertools.islice(_files(sweep / "jobs" / name / FOLDER), MOST_FILES):
            ending = path.suffix.lower()
            if (
                ending in _IMAGES
                and images < MOST_IMAGES
                and size <= min(LARGEST_IMAGE, room)
                and _is_image(path, ending)
            ):
                alt = f"{printable(path.name)}, drawn by after() of {label}."
                of_run.append(Image(path.relative_to(sweep).as_posix(), alt))
                room, images = room - size, images + 1
        parts += [Paragraph(f"{label}:"), *of_run] if of_run else []
    note = Paragraph("The reports of the runs have all that it wrote.")
    return [Section(TITLE, (*parts, note))] if parts else []


def _files(folder: Path, depth: int = 1) -> Iterator[tuple[Path, int]]:
    """The regular files of a folder, in the order of their names, and their sizes in bytes; those of folders in it come
    last."""
    if folder.is_symlink() or depth > DEEPEST:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and not entry.name.startswith(".new-"):
            yield Path(entry.path), status.st_size
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), depth + 1)


def _beginning(path: Path, most: int) -> bytes:
    """The first bytes of a file; none where it cannot be read, or has become something else than a regular file."""
    try:
        # Neither through a link nor waiting for a pipe that took the file's place.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def image_bytes(run: Path, image: str) -> bytes:
    """The content of an image of a run's folder; empty where it is not there any more, or not what was looked at."""
    content = _beginning(run / image, LARGEST_IMAGE + 1)
    return content if len(content) <= LARGEST_IMAGE else b""


def _is_image(path: Path, ending: str) -> bool:
    beginning = _beginning(path, 4096)
    return b"<svg" in beginning if ending == ".svg" else beginning.startswith(_IMAGES[ending])


def _table(path: Path, size: int) -> Table | None:
    """The first rows and columns of a CSV or TSV file; None where it is none."""
    content = _beginning(path, _READ_OF_A_TABLE)
    text = content.decode("utf-8-sig", "replace")
    if not text.strip() or "\x00" in text:
        return None
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    except csv.Error:
        return None
    rows = [row for row in rows if row]
    # The last row that was read of a large file may be half of one.
    rows = rows[:-1] if size > len(content) and len(rows) > 1 else rows
    header, *body = rows
    columns = len(header[:MOST_COLUMNS])
    cells = tuple(tuple(map(_cell, (row + [""] * columns)[:columns])) for row in body[:MOST_ROWS])
    notes = []
    if len(body) > MOST_ROWS or size > len(content):
        notes.append(f"first {len(cells)} rows" + ("" if size > len(content) else f" of {len(body):,}"))
    if len(header) > MOST_COLUMNS:
        notes.append(f"first {MOST_COLUMNS} of {len(header):,} columns")
    title = printable(path.name) + (f" ({', '.join(notes)})" if notes else "")
    return Table(title, tuple(map(_cell, header[:columns])), cells)


def _cell(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _text(path: Path, size: int) -> str:
    """The beginning of a text file; empty where it is none."""
    text = _beginning(path, 4 * LONGEST_TEXT).decode("utf-8", "replace")
    if not text.strip() or "\x00" in text:
        return ""
    lines = "\n".join(printable(line.replace("\t", "    ")) for line in text.splitlines())
    return lines if len(lines) <= LONGEST_TEXT else f"{lines[:LONGEST_TEXT]}\n… ({format_bytes(size)} in all)"
