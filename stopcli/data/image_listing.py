"""Which files a folder of images holds, class by class, and what of it cannot be read or would not be seen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError, printable, system_words
from stopcli.paths import is_text

SUFFIXES = (".jpg", ".jpeg", ".png")
# What folders of images that validate are called.
VALIDATION_FOLDERS = ("val", "valid", "validation")

NESTED = "images in a subfolder of a class"
DANGLING = "links to nothing"
DAMAGED = "images that cannot be decoded"
LEAVE_OUT = "--skip-unreadable leaves them out, counts them and goes on."


@dataclass
class LeftOut:
    """What of a data set is not taken, though it looks like images: by what is wrong with it, the paths."""

    root: Path
    paths: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, path: Path | str, reason: str = "") -> None:
        relative = printable(Path(path).relative_to(self.root))
        self.paths.setdefault(what, []).append(f"{relative} ({reason})" if reason else relative)

    def check(self) -> None:
        """Raise RequestError, which counts everything and names the first of each, where there is any."""
        if self.paths:
            hint = "Images are looked for in train/CLASS/ itself. " if NESTED in self.paths else ""
            raise RequestError(f"{printable(self.root)}: {'; '.join(self.counted())}", hint=hint + LEAVE_OUT)

    def notes(self) -> list[str]:
        """What was left out, a sentence for each kind."""
        return [f"left out, {words}" for words in self.counted()]

    def counted(self) -> list[str]:
        """How many paths there are of each kind, and the first, in words."""
        return [f"{what}: {len(paths):,} (the first: {paths[0]})" for what, paths in self.paths.items()]


@dataclass(frozen=True)
class Listing:
    """The image files of a part, class by class.

    Attributes:
        folder: of the part.
        files: of each class, sorted by name; the classes sorted too.
        skipped: files that are no JPEG or PNG by their names.
        stray: images beside the class folders.
    """

    folder: Path
    files: Mapping[str, Sequence[Path]]
    skipped: int
    stray: Sequence[Path]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.files)

    @property
    def all_files(self) -> list[Path]:
        return [path for paths in self.files.values() for path in paths]

    @property
    def labels(self) -> NDArray[np.int32]:
        """The class of each file."""
        return np.repeat(np.arange(len(self.files), dtype=np.int32), [len(paths) for paths in self.files.values()])

    def check(self) -> None:
        """Raise RequestError where there are fewer than two classes, one has no images, or a name is no text."""
        for name in self.files:
            if not is_text(name):
                raise RequestError(
                    f"{printable(self.folder / name)}: the name of this class is not UTF-8", hint="Rename the folder."
                )
        if len(self.files) < 2:
            there = f"only {printable(next(iter(self.files)))}" if self.files else "none"
            where = printable(self.folder)
            raise RequestError(f"{where}: expected a subfolder for each of two or more classes; there is {there}")
        empty = [name for name, paths in self.files.items() if not paths]
        if empty:
            where = printable(self.folder / empty[0])
            raise RequestError(f"{where}: no images of this class ({', '.join(SUFFIXES)})")


def list_part(folder: Path, left_out: LeftOut) -> Listing:
    """The images of a folder with a subfolder for each class. Hidden files and folders are none of it.

    Args:
        left_out: where what cannot be taken is added.

    Raises:
        RequestError: the folder cannot be read.
    """
    found: dict[str, list[Path]] = {}
    stray: list[Path] = []
    skipped = 0
    try:
        entries = _entries(folder)
    except OSError as error:
        raise RequestError(f"{printable(folder)}: cannot be read ({system_words(error)})") from None
    for entry in entries:
        kind = _kind(entry)
        if kind == "folder":
            found[entry.name], others = _class_files(Path(entry.path), left_out)
            skipped += others
        elif kind in ("file", "other"):
            if _is_image(entry.name):
                stray.append(Path(entry.path))
            else:
                skipped += 1
        else:
            left_out.add(kind, entry.path)
    return Listing(folder, found, skipped, stray)


def _class_files(folder: Path, left_out: LeftOut) -> tuple[list[Path], int]:
    """The images of a class, and how many other files there are."""
    files: list[Path] = []
    others = 0
    try:
        entries = _entries(folder)
    except OSError as error:
        left_out.add(f"folders that cannot be read ({system_words(error)})", folder)
        return files, others
    for entry in entries:
        kind = _kind(entry)
        if kind == "folder":
            for path in _images_below(Path(entry.path), left_out):
                left_out.add(NESTED, path)
        elif not _is_image(entry.name) and (kind in ("file", "other") or Path(entry.name).suffix):
            others += 1
        elif kind == "file":
            files.append(Path(entry.path))
        else:
            left_out.add("neither files nor folders" if kind == "other" else kind, entry.path)
    return files, others


def unused_beside(root: Path, used: Sequence[str]) -> list[str]:
    """What images lie in a data set's folder and are not used, a note for each place."""
    counts: dict[str, int] = {}
    unread = LeftOut(root)
    for entry in _entries(root):
        kind = _kind(entry)
        if kind == "folder" and entry.name not in used:
            counts[f"{entry.name}/"] = sum(1 for _ in _images_below(Path(entry.path), unread))
        elif kind == "file" and _is_image(entry.name):
            counts["no folder"] = counts.get("no folder", 0) + 1
        elif kind not in ("folder", "file", "other"):
            unread.add(kind, entry.path)
    beside = " and ".join(f"{name}/" for name in used)
    notes = [f"beside {beside}, {words}" for words in unread.counted()]
    for where, count in counts.items():
        if count:
            asked = "; --validation folder validates on them" if where[:-1] in VALIDATION_FOLDERS else ""
            notes.append(f"images beside {beside} that are not used: {count:,} (in {printable(where)}){asked}")
    return notes


def _images_below(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Images in a folder and its subfolders. Folders that cannot be read are added to `left_out`."""

    def refused(error: OSError) -> None:
        left_out.add(f"folders that cannot be read ({system_words(error)})", error.filename)

    for inside, folders, names in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(inside, name) for name in sorted(names) if _is_image(name) and not name.startswith("."))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _kind(entry: os.DirEntry[str]) -> str:
    """`file`, `folder`, `other` (a pipe, a socket, a device), or what is wrong with it, in words."""
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return DANGLING
    except OSError as error:
        return f"links that cannot be followed ({system_words(error)})"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
