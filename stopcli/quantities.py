"""Numbers of things and lengths of time in words: 1 seed, 3 seeds, seeds 0 to 2; 90s, 2h30m, 1d."""

import re
from collections.abc import Sequence

from stopcli.errors import ConfigError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])\s*")


def parse_duration(setting: str, text: str) -> float:
    """Seconds from text such as `90s`, `2h30m`, `1.5h`, `1d 12h`. Raises ConfigError of that setting where the text is
    not a length of time, or is `0s`."""
    parts = _PART.findall(text.lower())
    units = [unit for _, unit in parts]
    whole = _PART.sub("", text.lower()).strip() == "" and parts
    # Each unit once and the larger first: 30m2h and 5s5s are more likely slips than wishes.
    if not whole or units != sorted(set(units), key=list(_SECONDS).index):
        raise ConfigError(setting, text, "a length of time such as 90s, 45m, 2h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ConfigError(setting, text, "a length of time above 0")
    return seconds


def parse_save_every(text: str) -> tuple[int | None, float | None]:
    """(epochs, None), (None, seconds), or (None, None) for `auto`. Raises ConfigError where the text is something
    else."""
    if text == "auto":
        return None, None
    if text.isdecimal() and int(text) > 0:
        return int(text), None
    try:
        return None, parse_duration("save_every", text)
    except ConfigError:
        raise ConfigError("save_every", text, "'auto', a number of epochs, or a length of time such as 30s") from None


def format_duration(seconds: float) -> str:
    """Seconds as `parse_duration` reads them, to the second from ten seconds on: 2h05m00s."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:02}s"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def format_age(seconds: float) -> str:
    """Seconds as `parse_duration` reads them, in the two largest units.

    >>> format_age(0.4), format_age(59), format_age(3_725), format_age(507_600)
    ('0s', '59s', '1h2m', '5d21h')
    """
    parts: list[str] = []
    for unit, length in _SECONDS.items():
        number, seconds = divmod(round(seconds), int(length))
        if number or parts:
            parts.append(f"{number}{unit}")
    return "".join(parts[:2]) or "0s"


def format_bytes(number: int) -> str:
    """A size on disk in decimal units, as file managers and `df -H` show it.

    >>> format_bytes(0), format_bytes(999), format_bytes(12_345), format_bytes(7_250_000_000)
    ('0 B', '999 B', '12 kB', '7.2 GB')
    """
    size, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.1f} {units[0]}" if size < 9.95 and units[0] != "B" else f"{size:.0f} {units[0]}"


# Of more numbers that are not consecutive than this, the rest is counted.
_MOST = 8


def counted(number: float, noun: str, plural: str = "") -> str:
    """A number of things.

    Args:
        number: whole, or of what has parts, such as epochs.
        noun: what one of them is called, such as `run`.
        plural: what several are called; the noun with an s where it is empty.

    >>> counted(1, "run"), counted(0, "run"), counted(1437, "process", "processes"), counted(1.5, "epoch")
    ('1 run', '0 runs', '1,437 processes', '1.5 epochs')
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {agreeing(number, noun, plural or f'{noun}s')}"


def agreeing(number: float, one: str, several: str) -> str:
    """The word that goes with a number of things: `gives` with one, `give` with several, or with none."""
    return one if number == 1 else several


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Things by their numbers, ascending.

    >>> numbered("seed", [3]), numbered("seed", [0, 1]), numbered("seed", [0, 1, 2]), numbered("seed", [0, 2, 3])
    ('seed 3', 'seeds 0, 1', 'seeds 0 to 2', 'seeds 0, 2, 3')
    """
    return f"{agreeing(len(numbers), noun, f'{noun}s')} {in_words(numbers)}"


def in_words(numbers: Sequence[int]) -> str:
    """Ascending numbers in few words: `0 to 9`, `0, 3, 4`."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    more = f" and {len(numbers) - _MOST} more" if len(numbers) > _MOST else ""
    return ", ".join(map(str, numbers[:_MOST])) + more


# Texts that a message names; the others are counted.
_NAMED = 3


def first_few(texts: Sequence[str]) -> str:
    """The first of some texts, such as paths, and how many more there are.

    >>> first_few(["a.png", "b.png", "c.png", "d.png", "e.png"])
    'a.png, b.png, c.png and 2 more'
    """
    more = f" and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    return f"{', '.join(texts[:_NAMED])}{more}"
