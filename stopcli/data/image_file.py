"""One image file, JPEG or PNG, as RGB with 8 bits a channel."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stopcli.errors import system_words

# Pillow's other readers are never asked, whatever a file is called: that of EPS runs Ghostscript, a program of its own,
# on what the file holds. What phones write into .jpg files, MPO, is JPEG.
FORMATS = ("PNG", "JPEG")

# PNG's transparent colour is a sample as the file has it; Pillow spreads samples of few bits over 0 … 255.
_SPREAD = {"L;2": 85, "L;4": 17}
_RGB_16_HIGH, _RGB_16_LOW = "RGB;16B", "RGB;16L"


def to_rgb(content: bytes) -> tuple[Image.Image, bool]:
    """An image as RGB, and whether it was something else.

    Grey, palette, CMYK and 16-bit images become RGB; what is transparent lies on black, also where a PNG only names a
    colour that is; a rotation that a camera noted is applied.

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


def reason_of(error: Exception) -> str:
    """Why a file is no image that can be read, in words."""
    if isinstance(error, UnidentifiedImageError):
        return "no PNG or JPEG"
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
            found = str(opened.tile[0][3]) if opened.tile else ""
            opened.load()
            return ImageOps.exif_transpose(opened), found


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
