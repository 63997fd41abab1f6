"""What is warned of before training: what comes too late, few rows, large batches; and nothing of the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stopcli.configs.base import RunConfig, resolve
from stopcli.configs.registry import config_class
from stopcli.configs.training import POINT, large_batch
from stopcli.data.dataset import Examples, Splits
from stopcli.recipes.base import recipe_of
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.session import NullObserver

COMMANDS = ("moons", "cifar-resnet", "train", "clr", "lr-range", "cutout-sweep")


def config_of(command: str, **settings: Any) -> Any:
    return resolve(config_class(command), {"scale": "quick", **settings})


def parts_of(train: int, validation: int) -> Splits:
    rows = [Examples(np.zeros((count, 1)), np.zeros(count)) for count in (train, validation)]
    return Splits(*rows, rows[1])


def notes_of(config: Any, train: int, validation: int, thing: str = "image") -> tuple[str, ...]:
    """What is said of a config once so many rows are known."""
    if config.command == "lr-range":
        return tuple(filter(None, [large_batch(config, train, thing)]))
    notes: tuple[str, ...] = config.notes_on_rows(parts_of(train, validation), thing)
    if config.command != "moons":
        notes += config.notes_on_updates(-(-train // config.batch_size))
    return notes


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_said_of_settings_that_nobody_has_chosen(command: str, scale: str) -> None:
    config = resolve(config_class(command), {"scale": scale})
    configs: list[RunConfig] = [config, *(job.config for job in plan_jobs(config))] if config.is_sweep else [config]
    # CIFAR-10, and the digits that stand in for it.
    rows = [(30, 70)] if command == "moons" else [(50_000, 10_000), (1437, 360)]
    for each in configs:
        assert each.warnings() == []
        for train, validation in rows:
            train, validation = (
                min(count, getattr(each, name, None) or count)
                for count, name in ((train, "limit"), (validation, "test_limit"))
            )
            assert notes_of(each, train, validation, POINT if command == "moons" else "image") == ()


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"min_delta": 0.1}, ["min_delta has no effect without patience"]),
        ({"min_delta": 0.1, "patience": 0}, []),
        ({"baseline": 0.5}, ["baseline has no effect without patience"]),
        ({"init_optimizer": True}, ["init_optimizer has no effect without init_from"]),
    ],
)
def test_a_setting_without_what_it_is_used_with_is_warned_of(settings: dict[str, Any], warning: list[str]) -> None:
    assert config_of("moons", **settings).warnings() == warning


def test_conditions_of_settings_on_images_are_warned_of() -> None:
    config = config_of("clr", vs=(), learning_rate=0.1, optimizer="adam", nesterov=True, erase_p=0.2)
    assert {
        "nesterov has no effect with optimizer adam",
        "erase_p has no effect without erasing",
        "learning_rate has no effect without vs",
    } <= set(config.warnings())


BEFORE_ITS_END = "cannot stop a training of {} early: it can stop one after epoch {} at the earliest"


@pytest.mark.parametrize(
    ("settings", "of", "earliest"),
    [
        ({"epochs": 30, "patience": 30}, "30 epochs", "31"),
        ({"epochs": 30, "patience": 29}, "30 epochs", "30"),
        ({"epochs": 30, "patience": 20, "start_from_epoch": 9}, "30 epochs", "30"),
        ({"epochs": 1, "patience": 0}, "1 epoch", "2"),
        ({"epochs": 1, "stop": ("gl:2",)}, "1 epoch", "2"),
        ({"epochs": 4, "stop": ("pq:1",)}, "4 epochs", "5"),
        ({"epochs": 4000, "stop": ("up:399:10",)}, "4,000 epochs", "4,000"),
        ({"epochs": 150, "case_study": True}, "150 epochs", "201"),
    ],
)
def test_rules_that_can_save_no_epoch(settings: dict[str, Any], of: str, earliest: str) -> None:
    rule = settings.get("patience", 200 if "case_study" in settings else None)
    words = f"patience {rule}" if "stop" not in settings else f"stop {settings['stop'][0]}"
    assert config_of("moons", **settings).warnings() == [f"{words} {BEFORE_ITS_END.format(of, earliest)}"]
    assert config_of("moons", **{**settings, "epochs": 4200}).warnings() == []


def test_a_threshold_can_be_reached_in_any_epoch() -> None:
    assert config_of("moons", epochs=1, threshold=0.1).warnings() == []


def test_rules_that_are_asked_at_the_ends_of_cycles_too_late() -> None:
    # A cycle of 4 epochs: the one that ends after epoch 8 is the first that a patience of 5 can use.
    settings = {"lr_policy": "clr", "step_size": 2.0, "stop_at": "cycle-end", "patience": 5}
    (told,) = notes_of(config_of("cifar-resnet", epochs=8, **settings), 1000, 100)
    assert told == f"patience 5, evaluated only where cycles end, {BEFORE_ITS_END.format('8 epochs', 8)}"
    assert notes_of(config_of("cifar-resnet", epochs=12, **settings), 1000, 100) == ()
    # Of a rule that would be too late anyway that is said already, and where no cycle ends, that.
    late = config_of("cifar-resnet", epochs=4, **settings)
    assert late.warnings() == [f"patience 5 {BEFORE_ITS_END.format('4 epochs', 6)}"]
    assert notes_of(late, 1000, 100) == ()
    (told,) = notes_of(config_of("cifar-resnet", epochs=3, **{**settings, "patience": 1}), 1000, 100)
    assert told.endswith("no cycle ends before the training does, so no rule is ever evaluated")


ONE_DROP = "lr_drops: the drop after epoch 10 comes too late for a training of 10 epochs"
TWO_DROPS = "lr_drops: the drops after epochs 11, 30 come too late for a training of 10 epochs"


@pytest.mark.parametrize(
    ("command", "settings", "told"),
    [
        ("cifar-resnet", {"lr_drops": "5:0.1,9:0.05"}, ()),
        ("cifar-resnet", {"lr_drops": "5:0.1,10:0.05"}, (ONE_DROP,)),
        ("cifar-resnet", {"lr_drops": "11:0.1,30:0.05"}, (TWO_DROPS,)),
        ("clr", {"vs": ("step",), "lr_drops": "10:0.1"}, (ONE_DROP,)),
        ("cifar-resnet", {"lr_policy": "plateau", "lr_patience": 8}, ()),
        (
            "cifar-resnet",
            {"lr_policy": "plateau", "lr_patience": 9},
            ("lr_patience 9 reduces the learning rate in no training of 10 epochs",),
        ),
    ],
)
def test_drops_that_come_after_the_end(command: str, settings: dict[str, Any], told: tuple[str, ...]) -> None:
    assert config_of(command, epochs=10, **settings).warnings() == list(told)


def test_arms_with_fewer_epochs_are_named() -> None:
    warned = config_of("cutout-sweep", m=(2, 4), epochs=12, equal="compute", patience=3).warnings()
    assert warned == [f"M = 4: patience 3 {BEFORE_ITS_END.format('3 epochs', 4)}"]


def images(root: Path, train: int, test: int) -> str:
    """A folder of images of two classes."""
    for part, count in (("train", train), ("test", test)):
        for name in ("dark", "light"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count // 2):
                pixels = np.full((16, 16, 3), 4 * i + 2 * (name == "light") + (part == "test"), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return str(root)


@pytest.mark.parametrize(("validation", "rows"), [("test", 6), ("split", 4), ("holdout", 2)])
def test_few_images_and_large_batches_are_told_whatever_validates(
    validation: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))
    dataset = images(tmp_path / "images", 40, 6)
    config = config_of("cifar-resnet", dataset=dataset, validation=validation, epochs=2)
    batch, few = recipe_of("cifar-resnet").load(config, NullObserver()).notes
    train = 36 if validation == "split" else 40
    assert batch == f"batch_size 64 is more than the {train} images to train on, so an epoch is a single update"
    more = "so the saved epoch is chosen on little evidence; use more images or checkpoint_monitor val_loss"
    assert few == f"{rows} images validate, {more}"
    # A range test validates nothing.
    ranging = config_of("lr-range", dataset=dataset, validation=validation, model="mlp")
    assert recipe_of("lr-range").load(ranging, NullObserver()).notes == (batch,)
    fewer = config_of("cifar-resnet", dataset=dataset, validation=validation, epochs=2, batch_size=8, checkpoint=False)
    assert recipe_of("cifar-resnet").load(fewer, NullObserver()).notes == ()


def test_few_points_and_large_batches_are_told_where_they_were_chosen() -> None:
    def notes(command: str, **settings: Any) -> tuple[str, ...]:
        return recipe_of(command).load(config_of(command, **settings), NullObserver()).notes

    assert notes("moons") == notes("moons", validation="holdout") == notes("moons", train_size=20) == ()
    (few,) = notes("moons", validation="split", checkpoint_monitor="val_loss")
    assert few == "6 rows validate, so the saved epoch is chosen on little evidence; use more rows"
    (one,) = notes("moons", samples=31, checkpoint=False, patience=5)
    assert one.startswith("1 row validates, so the epoch to stop at is chosen on little evidence; use more rows")
    (large,) = notes("moons", batch_size=31)
    assert large == "batch_size 31 is more than the 30 rows to train on, so an epoch is a single update"
    mlp = {"dataset": "moons", "model": "mlp", "epochs": 18}
    assert notes("train", **mlp) == ()
    assert notes("train", **mlp, batch_size=31) == (large,)
    assert notes("lr-range", dataset="moons", model="mlp") == ()
