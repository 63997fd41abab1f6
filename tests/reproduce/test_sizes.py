"""Which size a published result is run in: by what was measured, once for all calls; of speeds that were made up."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from program import run

from stopcli.errors import RequestError, ResourceError
from stopcli.reproduce.plan import plan, read_all
from stopcli.reproduce.report import ReportContext, write_reproduction
from stopcli.reproduce.results import results_of
from stopcli.reproduce.run import Plan, make_plan
from stopcli.reproduce.settings import configs_of, sizes_of
from stopcli.reproduce.sizes import Choice, choose
from stopcli.reproduce.spec import Images
from stopcli.runner.speed import Speed, measured_config

FILE = """
title = "T"
question = "Q?"
baseline = "a"
source = { text = "S", url = "https://example.org" }
config = { command = "cifar-resnet", dataset = "cifar10", depth = 20, seeds = 3 }
[overnight]
minutes = 100
sizes = [{}, { epochs = 20 }, { depth = 8, epochs = 20 }, { depth = 8, epochs = 10 }]
[[arms]]
name = "a"
title = "A"
reported = [{ measure = "test_accuracy", value = 0.9, band = [0.8, 1.0], why = "w" }]
"""
IMAGES = Images("digits", {"limit": 1000, "test_limit": 100})
SIZE = Path("runs/reproduction/overnight-digits/x.size.json")
ENVIRONMENT = {"argv": ["stopcli"], "versions": {}, "platform": "", "cpu": "", "cores": 1}


class FakeMeter:
    """A machine that trains one epoch in so many seconds by depth."""

    def __init__(self, epoch_seconds: dict[int, float], *, bfloat16: bool = False, share: float = 1.0) -> None:
        self.epoch_seconds, self.bfloat16, self.share = epoch_seconds, bfloat16, share
        self.measured: list[int] = []

    @contextmanager
    def __call__(self, images: int, test_images: int) -> Iterator[FakeMeter]:
        yield self

    def computes_bfloat16(self) -> bool:
        return self.bfloat16

    def known(self, config: Any) -> Speed | None:
        return self._speed(config) if config.depth in self.measured else None

    def speed(self, config: Any) -> Speed:
        self.measured.append(config.depth)
        return self._speed(config)

    def _speed(self, config: Any) -> Speed:
        return Speed(f"ResNet-{config.depth}", self.epoch_seconds[config.depth], 1.0, 1.0, self.share)

    def predicted_seconds(self, config: Any, speed: Speed) -> float:
        return float(config.epochs * speed.row_seconds)


def no_meter(images: int, test_images: int) -> FakeMeter:
    raise AssertionError("it was measured again")


def plan_with(
    make_meter: Callable[[int, int], Any], text: str = FILE, images: Images = IMAGES, seeds: int | None = None
) -> Plan:
    Path("x.toml").write_text(text)
    return make_plan(
        [Path("x.toml")],
        scale="overnight",
        load=lambda: images,
        seeds=seeds,
        root=Path("runs"),
        to=Path(),
        options=(),
        make_meter=make_meter,
    )


@pytest.mark.parametrize(
    ("choices", "chosen"),
    [
        ({"a": Choice(10, (30.0, 10.0, 5.0))}, {"a": (1, 10)}),
        # None fits, and the last is taken all the same.
        ({"a": Choice(10, (30.0, 20.0))}, {"a": (1, 10)}),
        # One that was not measured is never taken.
        ({"a": Choice(10, (None, 8.0))}, {"a": (1, 10)}),
        # What others leave is used in their order: the 8 of `b` by `a`.
        ({"a": Choice(10, (18.0, 10.0)), "b": Choice(10, (2.0, 1.0))}, {"a": (0, 18), "b": (0, 10)}),
        ({"a": Choice(10, (18.0, 10.0)), "b": Choice(10, (4.0, 3.0))}, {"a": (1, 10), "b": (0, 10)}),
        # One that takes too long leaves nothing to others, unless they leave enough to it.
        ({"a": Choice(10, (40.0,)), "b": Choice(10, (12.0, 9.0))}, {"a": (0, 10), "b": (1, 10)}),
        ({"a": Choice(10, (15.0,)), "b": Choice(10, (30.0, 2.0))}, {"a": (0, 15), "b": (1, 10)}),
    ],
)
def test_the_largest_size_that_fits_is_chosen(choices: dict[str, Choice], chosen: dict[str, tuple[int, float]]) -> None:
    assert choose(choices) == chosen
    total = sum(choice.budget_seconds for choice in choices.values())
    last = {name: len(choice.seconds) - 1 for name, choice in choices.items()}
    took = sum(choice.at(choose(choices)[name][0]) for name, choice in choices.items())
    assert took <= total or any(choose(choices)[name][0] == last[name] for name in choices)


@pytest.mark.parametrize(
    ("epoch_seconds", "depth", "epochs", "measured"),
    [
        ({20: 50.0, 8: 10.0}, 20, 100, [8, 20]),
        ({20: 300.0, 8: 10.0}, 20, 20, [8, 20]),
        ({20: 310.0, 8: 100.0}, 8, 20, [8, 20]),
        # 20 epochs would not fit even if the larger network were as fast, so that it is not measured.
        ({8: 301.0}, 8, 10, [8]),
        ({8: 10_000.0}, 8, 10, [8]),
    ],
)
def test_the_size_follows_from_what_was_measured(
    epoch_seconds: dict[int, float], depth: int, epochs: int, measured: list[int]
) -> None:
    meter = FakeMeter(epoch_seconds)
    (sweep,) = plan_with(meter).sweeps
    assert (sweep.config.depth, sweep.config.epochs, meter.measured) == (depth, epochs, measured)
    # On images that are not the published ones.
    assert not sweep.published


@pytest.mark.parametrize(("epoch_seconds", "published"), [(50.0, True), (70.0, False)])
def test_the_published_setting_is_judged_where_it_fits(epoch_seconds: float, published: bool) -> None:
    images = Images("cifar10", {"limit": 50_000, "test_limit": 10_000}, published=True)
    # More seeds of it are no other setting.
    text = FILE.replace("[overnight]", "[overnight]\nseeds = 4")
    (sweep,) = plan_with(FakeMeter({20: epoch_seconds, 8: 10.0}), text, images).sweeps
    assert (sweep.published, sweep.config.seeds) == (published, 4)


def test_a_size_is_chosen_once_and_the_same_on_any_machine() -> None:
    first = plan_with(FakeMeter({20: 300.0, 8: 100.0}))
    again = plan_with(no_meter)
    assert again.sweeps == first.sweeps
    assert again.describe_sizes() == first.describe_sizes()
    SIZE.unlink()
    assert plan_with(FakeMeter({20: 50.0, 8: 10.0})).sweeps != first.sweeps


@pytest.mark.parametrize("scale", ["quick", "overnight"])
def test_gamma_comes_to_the_same_over_fewer_images(scale: str) -> None:
    (published,) = read_all([Path(__file__).parents[2] / "experiments" / "clr.toml"])
    for size in sizes_of(published, scale):
        ends = []
        for counts in ({"limit": 50_000, "test_limit": 10_000}, {"limit": 1437, "test_limit": 360}):
            (config,) = configs_of(published, scale, Images("digits", counts), None, size).values()
            updates = config.epochs * math.ceil(min(config.limit or 50_000, counts["limit"]) / config.batch_size)
            ends.append(config.gamma**updates)
        assert ends[1] == pytest.approx(ends[0])
        assert 0.009 < ends[0] < 0.012


def test_another_number_of_seeds_has_a_size_of_its_own() -> None:
    first = plan_with(FakeMeter({20: 50.0, 8: 10.0}))
    # It was said how long all of them take, which 3 seeds do not tell of 10.
    other = plan_with(FakeMeter({20: 310.0, 8: 100.0}, share=0.5), seeds=10)
    assert other.describe_sizes() != first.describe_sizes()
    assert "without x.10-seeds.size.json beside its runs it is measured again" in other.describe_sizes()[1]
    assert plan_with(no_meter).describe_sizes() == first.describe_sizes()
    assert plan_with(no_meter, seeds=10).describe_sizes() == other.describe_sizes()


def test_a_size_that_cannot_be_written_is_an_error_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("stopcli.reproduce.sizes.new_file", full)
    with pytest.raises(ResourceError, match=r"x\.size\.json: the size cannot be written \(No space left on device\)"):
        plan_with(FakeMeter({20: 50.0, 8: 10.0}))
    assert not SIZE.exists()


def test_another_call_that_was_faster_has_chosen() -> None:
    class Slow(FakeMeter):
        def speed(self, config: Any) -> Speed:
            if not SIZE.exists():
                plan_with(FakeMeter({8: 10_000.0}))
            return super().speed(config)

    (sweep,) = plan_with(Slow({20: 50.0, 8: 10.0})).sweeps
    assert (sweep.config.depth, sweep.config.epochs) == (8, 10)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"depth": 8', '"detph": 8', "x.size.json: settings.detph: received 8, expected a setting"),
        ('"depth": 8', '"depth": 9', "x.size.json: settings.depth: received 9"),
        ('"row_seconds": 10000.0', '"row_seconds": 0', "row_seconds: received 0, expected a number > 0"),
        ('"machine"', '"mach"', "machine: missing"),
        ("{", "", "x.size.json: damaged (not JSON"),
    ],
)
def test_a_size_that_cannot_be_is_refused(old: str, new: str, problem: str) -> None:
    plan_with(FakeMeter({8: 10_000.0}))
    text = SIZE.read_text()
    assert old in text
    SIZE.write_text(text.replace(old, new, 1))
    with pytest.raises(RequestError) as raised:
        plan_with(no_meter)
    assert problem in raised.value.message
    assert raised.value.message.startswith(str(SIZE))
    assert "the size is chosen anew" in raised.value.hint


def test_the_plan_says_sizes_precision_and_times_and_their_sum() -> None:
    Path("y.toml").write_text(FILE.replace("minutes = 100", "minutes = 1").replace("{ depth = 8, epochs = 20 }, ", ""))
    Path("z.toml").write_text(FILE[: FILE.index("[overnight]")] + FILE[FILE.index("[[arms]]") :])
    Path("x.toml").write_text(FILE)
    # What x leaves of its share is less than y needs beyond its own.
    meter = FakeMeter({20: 320.0, 8: 290.0}, share=0.5)
    lines = make_plan(
        [Path("x.toml"), Path("y.toml"), Path("z.toml")],
        scale="overnight",
        load=lambda: IMAGES,
        seeds=None,
        root=Path("runs"),
        to=Path(),
        options=(),
        make_meter=meter,
    ).describe_sizes()
    busy = "other programs had the processor while it was measured; without {}.size.json beside its runs it is measured"
    assert lines == [
        "x: depth = 8, epochs = 20; size 3 of 4, in float32, about 1h36m40s of 1h40m00s",
        f"x: {busy.format('x')} again",
        "y: depth = 8, epochs = 10; size 3 of 3, in float32, about 48m20s, more than the 1m00s meant for it",
        f"y: {busy.format('y')} again",
        "z: the published setting, not measured",
        "In all: about 2h25m00s, without z",
    ]


def test_a_night_is_computed_in_bfloat16_only_where_it_is_there() -> None:
    plain = plan_with(FakeMeter({20: 50.0, 8: 10.0})).sweeps[0].config
    SIZE.unlink()
    (experiment,) = plan_with(FakeMeter({20: 50.0, 8: 10.0}, bfloat16=True)).experiments
    assert (plain.precision, experiment.sweeps[0].config.precision) == ("float32", "bfloat16")
    assert "in bfloat16" in plan_with(no_meter).describe_sizes()[0]
    assert not experiment.sweeps[0].published
    # What the file says wins.
    SIZE.unlink()
    named = FILE.replace("depth = 20", 'depth = 20, precision = "float32"')
    assert plan_with(FakeMeter({20: 50.0, 8: 10.0}, bfloat16=True), named).sweeps[0].config.precision == "float32"


def test_the_report_has_the_size_and_its_measurement() -> None:
    planned = plan_with(FakeMeter({20: 310.0, 8: 100.0}))
    results = [results_of(experiment) for experiment in planned.experiments]
    write_reproduction(Path("to"), results, ReportContext("overnight", (), IMAGES, ENVIRONMENT))
    page = Path("to/REPRODUCTION.md").read_text()
    assert "overnight (not the published setting), on digits" in page
    assert "Changed from the published setting: depth = 8, epochs = 20." in page
    assert "Chosen by a measurement: size 3 of 4, in float32, about 33m20s of 1h40m00s." in page
    assert "| x | ResNet-8 | 0 | 100% |" in page
    (experiment,) = json.loads(Path("to/reproduction/summary.json").read_text())["experiments"]
    assert (experiment["scale"], experiment["size"]["number"]) == ("overnight", 3)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("minutes = 100\n", "", "x.toml: overnight.minutes: missing"),
        ("minutes = 100", "minutes = 0", "x.toml: overnight.minutes: received 0, expected"),
        ("{ epochs = 20 }, {", "{ epochs = 2.5 }, {", "x.toml: overnight.sizes.2.epochs: received 2.5"),
        ("{ epochs = 20 }, {", "{ epohcs = 20 }, {", "x.toml: overnight.sizes.2.epohcs: received 20"),
        ("sizes = [{}, ", 'sizes = ["large", ', "x.toml: overnight.sizes.1: received"),
        ("sizes = [{}, { epochs = 20 }", 'sizes = [{ scale = "full" }', "x.toml: overnight.sizes.1.scale: chosen by"),
        ("[overnight]", "[quick]", "x.toml: overnight: missing; a result that has quick"),
        ('"cifar-resnet", dataset = "cifar10"', '"cifar-resnet", dataset = "digits"', "only trainings on images"),
    ],
)
def test_sizes_that_cannot_be_are_refused_with_their_key(old: str, new: str, problem: str) -> None:
    assert old in FILE
    with pytest.raises(RequestError) as raised:
        plan_with(no_meter, FILE.replace(old, new, 1))
    assert problem in raised.value.message


def test_sweeps_that_differ_in_how_much_they_train_are_measured_once() -> None:
    published = read_all([])
    assert [result.name for result in published if result.overnight] == ["clr", "cutout", "random-erasing"]
    meter = FakeMeter({8: 1.0, 20: 1.0})
    sweeps = [plan_with(meter).sweeps[0].config]
    SIZE.unlink()
    sweeps.append(plan_with(FakeMeter({8: 1.0, 20: 300.0})).sweeps[0].config)
    assert len({config.epochs for config in sweeps}) == 2
    assert measured_config(sweeps[0], 1000, 100) == measured_config(sweeps[1], 1000, 100)


@pytest.mark.parametrize("scale", ["quick", "overnight"])
def test_sizes_of_the_published_results_share_the_time(scale: str) -> None:
    tables = [table for published in read_all([]) if (table := published.at_scale(scale))]
    minutes = sum(table.minutes or 0 for table in tables)
    # Beside them there are the installation, the measurement and moons.
    assert minutes <= {"quick": 33, "overnight": 475}[scale]


def test_the_help_names_the_scale(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reproduce", "--help") == 0
    assert "overnight" in capsys.readouterr().out


def test_an_experiment_is_planned_at_its_own_scale() -> None:
    (published,) = read_all([Path("moons")])
    assert plan(published, "overnight", None, None, Path("runs")).scale == "full"
