"""Which image files a folder holds, class by class, and what one of them, JPEG or PNG, looks like as RGB."""

import io
import os
import stat
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stopcli.errors import RequestError, printable, system_words
from stopcli.paths import is_text
from stopcli.quantities import first_few

SUFFIXES = (".jpg", ".jpeg", ".png")
# What folders of images that validate are called.
VALIDATION_FOLDERS = ("val", "valid", "validation")

NESTED = "images in a subfolder of a class"
DANGLING = "links to nothing"
DAMAGED = "images that cannot be decoded"
LEAVE_OUT = "--skip-unreadable leaves them out and counts them."


@dataclass
class LeftOut:
    """What looks like images of a data set and is left out: for each thing that is wrong, the paths."""

    root: Path
    paths: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, what: str, path: Path | str, reason: str = "") -> None:
        self.paths.setdefault(what, []).append((printable(Path(path).relative_to(self.root)), reason))

    def check(self) -> None:
        """Raise RequestError where anything is left out, with the count and the first path of each kind."""
        if self.paths:
            hint = "Images are expected directly in train/CLASS/. " if NESTED in self.paths else ""
            raise RequestError(f"{printable(self.root)}: {'; '.join(self.counted())}", hint=hint + LEAVE_OUT)

    def notes(self) -> list[str]:
        """What was left out, a sentence for each kind."""
        return [f"left out, {line}" for line in self.counted()]

    def counted(self) -> list[str]:
        """How many paths there are of each kind, and the first few, in words."""
        return [
            f"{what}: {len(paths):,} ({first_few([f'{path} ({why})' if why else path for path, why in paths])})"
            for what, paths in self.paths.items()
        ]

    def rows(self) -> list[dict[str, object]]:
        """Everything that was left out, for a CSV file."""
        return [
            {"path": path, "what": what, "reason": why} for what, paths in self.paths.items() for path, why in paths
        ]


@dataclass(frozen=True)
class Listing:
    """The image files of a part, class by class.

    Attributes:
        folder: of the part.
        files: of each class, sorted by name; the classes sorted too.
        skipped: files whose names are not those of JPEG or PNG files.
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
        """Raise RequestError where there are fewer than two classes, one has no images, or a name is not UTF-8."""
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
    """The images of a folder with a subfolder for each class. Hidden files and folders are ignored.

    Args:
        left_out: gets what cannot be read.

    Raises:
        RequestError: the folder cannot be read.
    """
    classes: dict[str, list[Path]] = {}
    stray: list[Path] = []
    skipped = 0
    try:
        entries = _entries(folder)
    except OSError as error:
        raise RequestError(f"{printable(folder)}: cannot be read ({system_words(error)})") from None
    for entry in entries:
        kind = _kind(entry)
        if kind == "folder":
            classes[entry.name], others = _class_files(Path(entry.path), left_out)
            skipped += others
        elif kind in ("file", "other"):
            if _is_image(entry.name):
                stray.append(Path(entry.path))
            else:
                skipped += 1
        else:
            left_out.add(kind, entry.path)
    return Listing(folder, classes, skipped, stray)


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
    notes = [f"beside {beside}, {line}" for line in unread.counted()]
    for where, count in counts.items():
        if count:
            hint = "; --validation folder validates on them" if where[:-1] in VALIDATION_FOLDERS else ""
            notes.append(f"images beside {beside} that are not used: {count:,} (in {printable(where)}){hint}")
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


# Pillow's other readers are never asked, whatever a file is called: that of EPS runs another program,
# Ghostscript, on the file. What phones write into .jpg files, MPO, is JPEG.
FORMATS = ("PNG", "JPEG")

# PNG's transparent colour is a sample as the file has it; Pillow spreads samples of few bits over 0 … 255.
_SPREAD = {"L;2": 85, "L;4": 17}
_RGB_16_HIGH, _RGB_16_LOW = "RGB;16B", "RGB;16L"


def to_rgb(content: bytes) -> tuple[Image.Image, bool]:
    """An image as RGB, and whether it was something else.

    Grey, palette, CMYK and 16-bit images become RGB; what is transparent becomes black, also where a PNG only names a
    transparent colour; a rotation that a camera noted is applied.

    Args:
        content: of a JPEG or PNG file.

    Raises:
        Exception: it is no such file, or damaged. Damaged content leads Pillow's readers to many errors.
    """
    image, raw_mode = _open(content)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, False
    clear = _of_transparent_colour(image, raw_mode, content)
    if clear is None:
        return _converted(image), True
    # Taken out, because Pillow would convert it too, and not every one can be.
    del image.info["transparency"]
    rgb = np.array(_converted(image))
    rgb[clear] = 0
    return Image.fromarray(rgb), True


def read_image(path: str | Path, height: int, width: int) -> NDArray[np.float32]:
    """A photo as stopcli's models of images take it: prepared as the images of a folder are for training.

    Args:
        path: a JPEG or PNG file of any size; see `to_rgb` for what becomes of grey, transparent and rotated ones.
        height, width: that it is resized to, bilinear with antialiasing: those in a run's checkpoints/classes.json.

    Returns:
        float32 [height, width, 3] in [0, 1].

    Raises:
        RequestError: there is no such file, or it is no image that can be read.
    """
    try:
        image = to_rgb(Path(path).read_bytes())[0]
    # Damaged content leads Pillow's readers to many errors.
    except Exception as error:
        raise RequestError(f"{path}: expected a JPEG or PNG image ({reason_of(error)})") from None
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels: NDArray[np.float32] = np.asarray(image, np.float32) / np.float32(255)
    return pixels


def reason_of(error: Exception) -> str:
    """Why a file is no image that can be read, in words."""
    if isinstance(error, UnidentifiedImageError):
        return "not a PNG or JPEG file"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    # Errors of the system have a number, those of Pillow's readers have none.
    if getattr(error, "errno", None) is None:
        return "truncated" if "truncated" in str(error) else "damaged"
    return system_words(error)


def _open(content: bytes, raw_mode: str | None = None) -> tuple[Image.Image, str]:
    """An image upright, and how its file holds the pixels, in Pillow's words.

    Args:
        raw_mode: read them as if the file held them like this.
    """
    with warnings.catch_warnings():
        # Remarks on metadata, which nothing is read from but the rotation, would be lines on the terminal.
        warnings.simplefilter("ignore")
        # An image of a hundred million pixels is an attack or a mistake.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            if raw_mode is not None:
                opened.tile = [(*tile[:3], raw_mode) for tile in opened.tile]
            mode = str(opened.tile[0][3]) if opened.tile else ""
            opened.load()
            return ImageOps.exif_transpose(opened), mode


def _of_transparent_colour(image: Image.Image, raw_mode: str, content: bytes) -> NDArray[np.bool_] | None:
    """Which pixels have the one colour that a PNG says is transparent; None where it names none.

    Of an image with a palette, transparency is that of its entries, which Pillow knows how to convert.
    """
    colour: Any = image.info.get("transparency")
    if colour is None or image.mode == "P":
        return None
    same: NDArray[np.bool_]
    if image.mode == "RGB":
        values = np.asarray(image).astype(np.uint16)
        if raw_mode == _RGB_16_HIGH:
            # Pillow keeps the high byte of each sample. The colour is of 16 bits, so the low byte is read as well.
            values = values << 8 | np.asarray(_open(content, _RGB_16_LOW)[0])
        same = np.all(values == np.array(colour, np.uint16), axis=-1)
    elif image.mode == "1":
        same = np.asarray(image) == bool(colour)
    else:
        same = np.asarray(image) == colour * _SPREAD.get(raw_mode, 1)
    return same


def _converted(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits: 0 … 65535 to 0 … 255, however dark the image is.
        values = np.asarray(image, np.float64) / 257
        return Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image).convert("RGB")
    return image.convert("RGB")
