"""The ranges of erasing's parameters: what they have to be, and how often a box that is drawn from them fits."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

# Boxes are drawn until one fits; below this share of fitting ones the drawing would take longer than the training.
LEAST_ACCEPTANCE = 1e-3


def check_pair(name: str, pair: Any, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise ValueError where a pair is out of order or out of its bounds."""
    expected = f"LOW ≤ HIGH within {'(' if open_low else '['}{low:g}, {high:g}]"
    two = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not two or not all(isinstance(end, (int, float, np.number)) and math.isfinite(end) for end in pair):
        raise ValueError(f"{name}: received {pair!r}, expected two numbers, {expected}")
    if not low <= pair[0] <= pair[1] <= high or (open_low and pair[0] == low):
        raise ValueError(f"{name}: received {pair!r}, expected {expected}")


def check_probability(name: str, p: object) -> None:
    """Raise ValueError where a number is not in [0, 1]."""
    if not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: received {p!r}, expected 0 to 1")


def check_whole(name: str, number: object, least: int, expected: str) -> None:
    """Raise ValueError where a number is not a whole number, or less than `least`."""
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < least:
        raise ValueError(f"{name}: received {number!r}, expected {expected}")


def check_finite(name: str, number: object) -> None:
    """Raise ValueError where a number is not finite."""
    if not isinstance(number, (int, float, np.number)) or not math.isfinite(number):
        raise ValueError(f"{name}: received {number!r}, expected a finite number")


def acceptance(area: Range, aspect: Range, *, log_aspect: bool, height: int, width: int) -> float:
    """The probability that a box that is drawn once fits into an image.

    Args:
        area, aspect, log_aspect: as for RandomErasing.

    Returns:
        The mean over a grid of areas and aspects of the share of positions where the box fits.
    """
    *_, positions = _boxes(area, aspect, log_aspect, height, width)
    return float(np.mean(positions) / (height * width))


def useless_boxes(area: Range, aspect: Range, *, log_aspect: bool, height: int, width: int) -> tuple[float, float]:
    """Of the boxes that fit into an image, the share that has no pixel, and the share that covers all of it.

    Args:
        area, aspect, log_aspect: as for RandomErasing; some of these boxes fit.
    """
    across, down, positions = _boxes(area, aspect, log_aspect, height, width)
    empty, whole = (across < 1) | (down < 1), (across >= width) & (down >= height)
    return float(positions[empty].sum() / positions.sum()), float(positions[whole].sum() / positions.sum())


def cutout_fraction(size: int, height: int, width: int) -> float:
    """The share of an image that a square around a random place of it covers, on average; as `draw_squares` draws."""

    def along(limit: int) -> float:
        first = np.arange(limit) - size // 2
        return float(np.mean(np.minimum(first + size, limit) - np.maximum(first, 0)) / limit)

    return along(height) * along(width)


def _boxes(
    area: Range, aspect: Range, log_aspect: bool, height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Widths and heights of boxes over a grid of 200 × 200 areas and aspects, and at how many positions each fits."""
    middle = (np.arange(200) + 0.5) / 200
    s = area[0] + (area[1] - area[0]) * middle[:, None]
    r = (
        aspect[0] * (aspect[1] / aspect[0]) ** middle[None]
        if log_aspect
        else aspect[0] + (aspect[1] - aspect[0]) * middle[None]
    )
    across = np.floor(np.sqrt(s * height * width / r))
    down = np.floor(np.sqrt(s * height * width * r))
    return across, down, np.clip(width - across + 1, 0, width) * np.clip(height - down + 1, 0, height)


def check_boxes_fit(area: Range, aspect: Range, *, log_aspect: bool, height: int, width: int) -> None:
    """Raise ValueError where boxes hardly ever fit into an image, so that drawing one would not end."""
    acceptable = acceptance(area, aspect, log_aspect=log_aspect, height=height, width=width)
    if acceptable < LEAST_ACCEPTANCE:
        raise ValueError(
            f"area, aspect: received {area!r}, {aspect!r}, expected boxes that fit into {height} × {width}; "
            f"of these {acceptable:.2g} do"
        )
