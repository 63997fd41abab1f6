"""The project's own promises: the README's words, the lock, the experiments, what `import stopcli` costs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stopcli
from stopcli.cli.main import app
from stopcli.config import read_toml, resolve
from stopcli.recipes.recipe import config_class

PROJECT = Path(__file__).parent.parent


def test_the_documented_help_is_that_of_every_command() -> None:
    spec = importlib.util.spec_from_file_location("help_blocks", PROJECT / "docs" / "help_blocks.py")
    assert spec is not None
    assert spec.loader is not None
    help_blocks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(help_blocks)
    text = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    named = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert re.findall(r"<!-- help: (.*?) -->", text) == named
    assert help_blocks.with_help(text) == text, "run: make docs"


@pytest.mark.slow
def test_the_readme_s_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    rules, cyclical, layers = blocks
    told = subprocess.run([sys.executable, "-c", rules], capture_output=True, text=True, check=True).stdout
    # 100 epochs are too few for the loss on the test rows to turn.
    assert told.strip() == "None" or "Verdict(reason='patience'" in told
    # 15 lines of plain Keras, as many as are promised.
    assert len([line for line in cyclical.splitlines() if line]) <= 15
    told = subprocess.run([sys.executable, "-c", cyclical], capture_output=True, text=True, check=True).stdout
    assert "Verdict(reason='patience', rule='val_accuracy patience=16'" in told
    accuracy = re.search(r"best_value=([0-9.]+)", told)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9
    train = """
import numpy as np
history = model.fit(np.random.rand(64, 32, 32, 3), np.arange(64) % 10, verbose=0).history
assert np.isfinite(history["loss"]).all()
"""
    subprocess.run([sys.executable, "-c", layers + train], capture_output=True, text=True, check=True)


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
def test_every_experiment_is_a_config_that_can_be_run(path: Path) -> None:
    settings = read_toml(path)
    command = settings.pop("command")
    config = resolve(config_class(command), settings)
    assert config.scale == "full"
    assert config.warnings() == []
    assert path.read_text().startswith("# Source: ")


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
