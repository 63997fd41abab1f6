"""Which of its sizes a published result is run in: the first that fits its share of the time on this machine, by a
measurement of a few steps; kept in a file beside its runs, so that a later call resumes the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stopcli.configs.base import options_of
from stopcli.control_groups import usable_cores
from stopcli.errors import RequestError, ResourceError, system_words
from stopcli.quantities import counted, format_duration
from stopcli.report.document import Table
from stopcli.reproduce.settings import Size, command_config_of, configs_of, settings_at, sizes_of
from stopcli.reproduce.spec import Images, PublishedResult
from stopcli.runner.speed import AboveZero, Meter, Speed
from stopcli.runs.environment import cpu_name
from stopcli.runs.files import dump_json, new_file, read_checked
from stopcli.runs.typed_json import from_json
from stopcli.stats.differences import NONE

# Of a process's cores: where it had less, the machine trains faster than was measured.
_IDLE_SHARE = 0.8

MakeMeter = Callable[[int, int], AbstractContextManager[Meter]]
"""From the numbers of images and of test images to what measures."""


@dataclass(frozen=True)
class ChosenSize:
    """The size that a published result has on this machine, as its file holds it.

    Attributes:
        settings: on top of the scale's.
        number, sizes: which one it is, from 1, of how many.
        precision: the numbers that its runs multiply.
        predicted_seconds: that all its runs take.
        budget_seconds: that they may take: its share, and what others left of theirs and it has used.
        speeds: that were measured.
        date: of the measurement, in UTC.
        machine: on which.
        seeds: that were asked for instead of the file's; None where none were.
    """

    settings: dict[str, Any]
    number: int
    sizes: int
    precision: str
    predicted_seconds: AboveZero
    budget_seconds: AboveZero
    speeds: tuple[Speed, ...]
    date: str
    machine: str
    seeds: int | None = None

    @property
    def fits(self) -> bool:
        return self.predicted_seconds <= self.budget_seconds

    @property
    def measured_busy(self) -> bool:
        """Whether other programs had much of the processor meanwhile."""
        return any((speed.processor_share or 1.0) < _IDLE_SHARE for speed in self.speeds)

    def file_name(self, name: str) -> str:
        """Of the file that holds it, for a published result's name."""
        return _file_name(name, self.seeds)

    def describe(self) -> str:
        """Which size it is, its precision and its time, in words."""
        seconds, budget = format_duration(self.predicted_seconds), format_duration(self.budget_seconds)
        time = f"about {seconds} of {budget}" if self.fits else f"about {seconds}, more than the {budget} meant for it"
        return f"size {self.number} of {self.sizes}, in {self.precision}, {time}"


def _file_name(name: str, seeds: int | None) -> str:
    """With another number of seeds, another size fits."""
    return f"{name}.size.json" if seeds is None else f"{name}.{seeds}-seeds.size.json"


@dataclass(frozen=True)
class Choice:
    """What there is to choose from for one published result.

    Attributes:
        budget_seconds: its share of the time.
        seconds: that each size takes, the largest first; None for one that was found not to fit without a measurement
            of its own. The last is never None.
    """

    budget_seconds: float
    seconds: Sequence[float | None]

    def first_within(self, budget_seconds: float) -> int:
        """The index of the first size that fits into a time; of the last where none does."""
        for index, seconds in enumerate(self.seconds):
            if seconds is not None and seconds <= budget_seconds:
                return index
        return len(self.seconds) - 1

    def at(self, index: int) -> float:
        seconds = self.seconds[index]
        assert seconds is not None, "only measured sizes are chosen"
        return seconds


def choose(choices: Mapping[str, Choice]) -> dict[str, tuple[int, float]]:
    """The index of the size of each published result, and the seconds that it may take: its share, then in the order
    given what the others leave of theirs, as far as a larger size uses it."""
    indices = {name: choice.first_within(choice.budget_seconds) for name, choice in choices.items()}
    rest = sum(choice.budget_seconds - choice.at(indices[name]) for name, choice in choices.items())
    chosen = {}
    for name, choice in choices.items():
        seconds, budget_seconds = choice.at(indices[name]), choice.budget_seconds
        if seconds <= budget_seconds or rest >= 0:
            index = choice.first_within(seconds + max(rest, 0.0))
            rest -= choice.at(index) - seconds
            chosen[name] = index, max(budget_seconds, choice.at(index))
        else:
            chosen[name] = indices[name], budget_seconds
    return chosen


def settle_sizes(
    files: Sequence[PublishedResult],
    scale: str,
    images: Images | None,
    seeds: int | None,
    folder: Path,
    make_meter: MakeMeter,
) -> dict[str, ChosenSize]:
    """The size of each published result that has several at a scale: as an earlier call has chosen it, else chosen now
    and written.

    Args:
        seeds: instead of the files'.
        folder: where sizes are written, a file for each.
        make_meter: makes what measures; only called where something is to be measured.

    Raises:
        RequestError: a file that an earlier call wrote is damaged.
        ResourceError: nothing could be measured, or the choice cannot be written.
    """
    several = [published for published in files if sizes_of(published, scale)]
    if images is None or not several:
        return {}
    paths = {
        published.name: folder / _file_name(published.name, _other_seeds(published, scale, seeds))
        for published in several
    }
    sizes = {published.name: _read(paths[published.name], published, scale, images) for published in several}
    unsized = [published for published in several if sizes[published.name] is None]
    if unsized:
        for name, size in _choose_now(unsized, scale, images, seeds, make_meter).items():
            _write(paths[name], size)
        # Where another call has written one meanwhile, that one counts.
        sizes = {published.name: _read(paths[published.name], published, scale, images) for published in several}
    return {name: size for name, size in sizes.items() if size is not None}


def _other_seeds(published: PublishedResult, scale: str, seeds: int | None) -> int | None:
    """How many seeds were asked for; None where these are the file's own."""
    own = {settings_at(published, scale, size).get("seeds", 1) for size in sizes_of(published, scale)}
    return None if own == {seeds} else seeds


def _choose_now(
    files: Sequence[PublishedResult], scale: str, images: Images, seeds: int | None, make_meter: MakeMeter
) -> dict[str, ChosenSize]:
    """The sizes of some published results, by a measurement."""
    with make_meter(images.counts["limit"], images.counts["test_limit"]) as meter:
        candidates = {published.name: _candidates(published, scale, meter) for published in files}
        measured = {
            published.name: _measure(published, scale, images, seeds, candidates[published.name], meter)
            for published in files
        }
    chosen = choose({name: choice for name, (choice, _) in measured.items()})
    sizes = {}
    for published in files:
        name = published.name
        (index, budget_seconds), (choice, speeds), size = (
            chosen[name],
            measured[name],
            candidates[name][chosen[name][0]],
        )
        configs = configs_of(published, scale, images, seeds, size)
        sizes[name] = ChosenSize(
            settings=dict(size.settings),
            number=index + 1,
            sizes=len(candidates[name]),
            precision=next(iter(configs.values())).precision,
            predicted_seconds=round(choice.at(index), 1),
            budget_seconds=round(budget_seconds, 1),
            speeds=speeds,
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            machine=f"{cpu_name()}, {counted(usable_cores(), 'core')}",
            seeds=_other_seeds(published, scale, seeds),
        )
    return sizes


def _candidates(published: PublishedResult, scale: str, meter: Meter) -> list[Size]:
    """Its sizes, over night in bfloat16 where what trains here multiplies such numbers."""
    sizes = sizes_of(published, scale)
    has_setting = "precision" in options_of(command_config_of(published))
    if scale != "overnight" or not has_setting or not meter.computes_bfloat16():
        return sizes
    # What the file says wins.
    return [
        size
        if "precision" in settings_at(published, scale, size)
        else Size(size.origin, {**size.settings, "precision": "bfloat16"})
        for size in sizes
    ]


def _measure(
    published: PublishedResult,
    scale: str,
    images: Images,
    seeds: int | None,
    candidates: Sequence[Size],
    meter: Meter,
) -> tuple[Choice, tuple[Speed, ...]]:
    """What its sizes take, and the speeds that were measured, those of its smallest network first."""
    table = published.at_scale(scale)
    assert table is not None
    assert table.minutes is not None
    budget_seconds = table.minutes * 60
    seconds: list[float | None] = [None] * len(candidates)
    speeds: list[Speed] = []
    for index in reversed(range(len(candidates))):
        configs = configs_of(published, scale, images, seeds, candidates[index])
        baseline = configs.get(published.baseline) or configs[""]
        speed = meter.known(baseline)
        # A larger network is no faster: where it would not fit even at the speed of the smaller one, it need not be
        # measured, which takes longest where there is least time.
        if speed is None and speeds and _seconds(configs, speeds[-1], meter) > budget_seconds:
            continue
        speed = speed or meter.speed(baseline)
        if speed not in speeds:
            speeds.append(speed)
        seconds[index] = _seconds(configs, speed, meter)
    return Choice(budget_seconds, seconds), tuple(speeds)


def _seconds(configs: Mapping[str, Any], speed: Speed, meter: Meter) -> float:
    return sum(meter.predicted_seconds(config, speed) for config in configs.values())


def _read(path: Path, published: PublishedResult, scale: str, images: Images) -> ChosenSize | None:
    """The size that an earlier call has chosen; None where none has."""
    size, damage = read_checked(path, lambda value: from_json(ChosenSize, value))
    if not damage and size is not None:
        try:
            configs_of(published, scale, images, size=Size("settings", size.settings))
        except RequestError as error:
            damage = f"{path.name}: {error.message.removeprefix(f'{published.path}: ')}"
    if damage:
        raise RequestError(
            f"{path.parent}/{damage}",
            hint="Without it, the size is chosen anew; runs of another size must be moved away then.",
        )
    return size


def _write(path: Path, size: ChosenSize) -> None:
    """Write a size where there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), new_file(path) as new:
            new.write_text(dump_json(size) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{path}: the size cannot be written ({system_words(error)})") from error


def speed_tables(sizes: Mapping[str, ChosenSize | None]) -> list[Table]:
    """The measurements by which sizes were chosen, by published result; no table where there were none."""
    rows = [
        (
            name,
            speed.network,
            f"{1 / speed.row_seconds:.0f}",
            NONE if speed.processor_share is None else f"{speed.processor_share:.0%}",
            format_duration(speed.start_seconds),
            f"{size.date}, {size.machine}",
        )
        for name, size in sizes.items()
        if size
        for speed in size.speeds
    ]
    columns = ("size of", "network", "images a second in each process", "share of its core", "start", "measured")
    return [Table("Speed", columns, tuple(rows))] if rows else []
