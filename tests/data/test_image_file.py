"""One image file: what it may be, what runs when it is opened, and what its pixels become."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_folders import make_folder, png, png_chunk
from PIL import EpsImagePlugin, Image

from stopcli.data.image_files import to_rgb
from stopcli.data.load import load_images
from stopcli.errors import RequestError

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def rgb_of(content: bytes) -> np.ndarray:
    return np.asarray(to_rgb(content)[0])


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists once a program called gs was run, of which there is one on PATH."""
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 10.0; touch '{tmp_path}/ran'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    # Whether there is one, Pillow asks once.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return tmp_path / "ran"


def test_no_program_is_run_for_a_file_that_is_only_called_png(tmp_path: Path, mark: Path) -> None:
    root = make_folder(tmp_path / "set")
    (root / "train" / "a" / "0.png").write_bytes(EPS)
    with pytest.raises(
        RequestError, match=r"images that cannot be decoded: .*train/a/0.png \(not a PNG or JPEG file\)"
    ):
        load_images(str(root))
    assert not mark.exists()
    # The trap is one: whoever lets Pillow choose the format runs it.
    with pytest.raises(OSError, match=r".+"), Image.open(root / "train" / "a" / "0.png") as image:
        image.load()
    assert mark.exists()


@pytest.mark.parametrize("form", ["BMP", "GIF", "PPM", "TIFF", "WEBP"])
def test_other_formats_are_refused_whatever_a_file_is_called(form: str) -> None:
    held = io.BytesIO()
    Image.new("RGB", (8, 8)).save(held, form)
    with pytest.raises(Image.UnidentifiedImageError):
        to_rgb(held.getvalue())


def test_the_first_picture_is_taken_of_what_phones_write_into_jpg_files() -> None:
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ((200, 30, 60), (0, 0, 0)))
    held, alone = io.BytesIO(), io.BytesIO()
    first.save(held, "MPO", save_all=True, append_images=[second])
    first.save(alone, "JPEG")
    with Image.open(io.BytesIO(held.getvalue())) as opened:
        assert opened.format == "MPO"
    np.testing.assert_array_equal(rgb_of(held.getvalue()), rgb_of(alone.getvalue()))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_lies_on_black(depth: int) -> None:
    samples = np.random.default_rng(depth).integers(0, 2**depth, (9, 11))
    # Not black by itself, and not alone with its high byte.
    samples[0, :2] = samples.max(), samples.max() - 1
    expected = np.rint(samples * 255 / (2**depth - 1))
    expected[samples == samples[0, 0]] = 0
    found = rgb_of(png(samples, depth, 0, transparent=struct.pack(">H", samples[0, 0])))
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=-1))


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_a_png_lies_on_black(depth: int) -> None:
    samples = np.random.default_rng(depth).integers(0, 2**depth, (9, 11, 3))
    # Twice the colour, and one beside it that differs in the lowest bit alone.
    samples[0, :3] = samples[0, 0]
    samples[0, 2, 1] ^= 1
    expected = samples >> (depth - 8)
    expected[0, :2] = 0
    found = rgb_of(png(samples, depth, 2, transparent=struct.pack(">3H", *samples[0, 0].tolist())))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(rgb_of(png(samples, depth, 2)), samples >> (depth - 8))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_what_is_transparent_of_a_palette_lies_on_black(depth: int) -> None:
    draw = np.random.default_rng(depth)
    palette, opacity = draw.integers(0, 256, (2**depth, 3)), draw.integers(0, 256, 2**depth)
    samples = draw.integers(0, 2**depth, (9, 11))
    as_bytes: Any = (each.astype(np.uint8).tobytes() for each in (opacity, palette))
    transparent, colours = as_bytes
    found = rgb_of(png(samples, depth, 3, transparent=transparent, palette=colours))
    np.testing.assert_array_equal(found, np.rint(palette * opacity[:, None] / 255)[samples])
    # One entry that is wholly transparent, which Pillow tells otherwise.
    found = rgb_of(png(samples, depth, 3, transparent=b"\xff\x00", palette=colours))
    palette[1] = 0
    np.testing.assert_array_equal(found, palette[samples])


def test_a_transparent_colour_turns_with_its_image() -> None:
    samples = np.random.default_rng(0).integers(0, 2**16, (4, 6, 3))
    content = png(samples, 16, 2, transparent=struct.pack(">3H", *samples[3, 0].tolist()))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by a quarter
    # Behind the signature and the header.
    found = rgb_of(content[:33] + png_chunk(b"eXIf", exif.tobytes()[6:]) + content[33:])
    assert found.shape == (6, 4, 3)
    assert not found[0, 0].any()
    assert found.reshape(-1, 3).any(axis=-1).sum() == 23
