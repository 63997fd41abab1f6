"""The project's own promises: the README's words, the lock, the experiments, what `import stopcli` costs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from forked import finished

import stopcli
from stopcli.cli.app import app
from stopcli.reproduce.plan import read_all
from stopcli.reproduce.spec import Images, configs_of, needs_images

PROJECT = Path(__file__).parent.parent


def test_the_documented_help_is_that_of_every_command() -> None:
    spec = importlib.util.spec_from_file_location("write_commands", PROJECT / "docs" / "write_commands.py")
    assert spec is not None
    assert spec.loader is not None
    write_commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_commands)
    page = write_commands.commands_page()
    assert page.count("\n## ") == len(app.registered_commands)
    assert (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8") == page, "run: make docs"


@pytest.mark.slow
def test_the_readme_s_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    rules, cyclical, layers = blocks
    told = finished(rules)
    # 100 epochs are too few for the loss on the test rows to turn.
    assert told.strip() == "None" or "Verdict(reason='patience'" in told
    # 15 lines of plain Keras, as many as are promised.
    assert len([line for line in cyclical.splitlines() if line]) <= 15
    told = finished(cyclical)
    assert "Verdict(reason='patience', rule='val_accuracy patience=16'" in told
    accuracy = re.search(r"best_value=([0-9.]+)", told)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9
    train = """
import numpy as np
history = model.fit(np.random.rand(64, 32, 32, 3), np.arange(64) % 10, verbose=0).history
assert np.isfinite(history["loss"]).all()
"""
    finished(layers + train)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_pins_names_versions_and_hashes_and_no_address(lock: str) -> None:
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(requirements) > 50
    assert all(re.match(r"[a-z0-9._-]+==\S+", requirement) for requirement in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)


def test_what_is_locked_to_run_is_what_is_locked_to_test() -> None:
    run, develop = ((PROJECT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
    pins = re.compile(r"^(\S+==\S+(?: ; .*)?) \\$", re.MULTILINE)
    assert set(pins.findall(run)) <= set(pins.findall(develop))


@pytest.mark.parametrize("path", sorted((PROJECT / "experiments").glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_can_be_run_at_both_scales(path: Path) -> None:
    (published,) = read_all([path])
    digits = Images("digits", {"limit": 1437, "test_limit": 360})
    for scale, images in (("full", None), ("quick", None), ("quick", digits)):
        for config in configs_of(published, scale, images if needs_images(published) else None).values():
            assert config.warnings() == []
            # Fewer have no interval.
            assert config.seeds >= 3


def test_the_published_results_are_those_that_the_sources_give() -> None:
    """The figures of the sources, typed here a second time."""
    found = {
        published.name: {
            (arm.name, reported.measure): reported.value
            for arm in published.arms
            for reported in arm.reported
            if reported.value is not None
        }
        for published in read_all([PROJECT / "experiments"])
    }
    assert sorted(found) == ["clr", "cutout", "moons", "random-erasing"]
    moons = found["moons"]
    assert [moons["no-stopping", name] for name in ("stop_epoch", "train_accuracy", "test_accuracy")] == [
        4000,
        1,
        0.914,
    ]
    assert [moons["patience-0", name] for name in ("stop_epoch", "train_accuracy", "test_accuracy")] == [
        219,
        0.967,
        0.814,
    ]
    assert [moons["patience-200", name] for name in ("stop_epoch", "train_accuracy", "test_accuracy")] == [
        1033,
        1,
        0.943,
    ]
    saved = [moons["patience-200-checkpoint", name] for name in ("stop_epoch", "saved_epoch", "saved_test_accuracy")]
    assert saved == [1044, 879, 0.943]
    hours = {arm: value for (arm, _), value in found["cutout"].items()}
    assert hours == {"simple": 1.22, "m2": 1.47, "m4": 2.31, "m8": 3.86, "m16": 6.89, "m32": 13.14}
    assert list(found["random-erasing"].values()) == [0.9077, 0.9182, 0.9213]
    assert sorted(found["clr"].values()) == [0.814, 0.814, 0.822]


def test_importing_stopcli_imports_nothing_heavy() -> None:
    code = (
        "import sys, stopcli; print(sorted({'tensorflow', 'keras', 'numpy', 'typer', 'pydantic'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


@pytest.mark.usefixtures("tensorflow")
def test_every_public_name_is_there_and_documented() -> None:
    for name in stopcli.__all__:
        assert getattr(stopcli, name).__doc__, name
    assert set(stopcli.__all__) <= set(dir(stopcli))
    with pytest.raises(AttributeError, match="no attribute 'Hunch'"):
        _ = stopcli.Hunch
