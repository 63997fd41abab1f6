"""Image files and folders of images as tests make them: of any size and content, and PNG files that Pillow does not
write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def make_folder(root: Path, parts: tuple[str, ...] = ("train", "test"), *, images: int = 3, side: int = 8) -> Path:
    """Parts with the classes a and b, as PNG files that are not compressed: all have one size. No image twice."""
    draw = np.random.default_rng(len(root.name) + sum(root.name.encode()))
    for part in parts:
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(images):
                pixels = draw.integers(0, 256, (side, side, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png", compress_level=0)
    return root


def png(samples: np.ndarray, depth: int, colour_type: int, *, transparent: bytes = b"", palette: bytes = b"") -> bytes:
    """A PNG file (ISO 15948), its rows not filtered.

    Args:
        samples: [height, width] or [height, width, channels], as the file holds them.
        depth: bits of a sample. colour_type: 0 grey, 2 RGB, 3 of a palette.
        transparent: the content of tRNS.
    """
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
        packed = [np.packbits(row).tobytes() for row in bits]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"tRNS", transparent)]
    chunks = [(name, content) for name, content in chunks if content]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(png_chunk, *zip(*chunks, strict=True)))


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
