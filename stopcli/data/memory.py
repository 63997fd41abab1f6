"""Whether images fit into memory, checked before they are read."""

from pathlib import Path

from stopcli.control_groups import memory_left
from stopcli.errors import RequestError

# Of the memory that is free; the rest is the model's.
SHARE = 0.8
# The images as they are read, and as TensorFlow holds them.
COPIES = 2
_GIGABYTE = 1e9


def available_bytes() -> int | None:
    """Memory that could be used now, on Linux; None where the system does not say. A container's limit counts."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    remaining = memory_left()
    return free if remaining is None else min(free, remaining)


def check_fits(images: int, height: int, width: int, what: str) -> None:
    """Raise RequestError where so many images of three bytes a pixel would not fit."""
    needed, free = images * height * width * 3 * COPIES, available_bytes()
    if free is not None and needed > SHARE * free:
        raise RequestError(
            f"{what}: {images:,} images of {height} × {width} need {needed / _GIGABYTE:.1f} GB of memory, and "
            f"{free / _GIGABYTE:.1f} GB are free",
            hint="--image-size makes them smaller; so does a folder with fewer of them.",
        )
