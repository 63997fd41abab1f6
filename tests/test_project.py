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
from stopcli.cli.app import SUMMARIES
from stopcli.reproduce.plan import read_all
from stopcli.reproduce.settings import Size, configs_of, sizes_of
from stopcli.reproduce.spec import Images, needs_images

PROJECT = Path(__file__).parent.parent


def test_the_documented_help_is_that_of_every_command() -> None:
    spec = importlib.util.spec_from_file_location("write_commands", PROJECT / "docs" / "write_commands.py")
    assert spec is not None
    assert spec.loader is not None
    write_commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_commands)
    page = write_commands.commands_page()
    assert page.count("\n## ") == len(SUMMARIES)
    assert (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8") == page, "run: make docs"


PAGES = sorted({*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")})


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = _prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    assert set(re.findall(r"\]\[([^\]]+)\]", text)) <= set(defined)
    for target in (*targets, *defined.values()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


@pytest.mark.parametrize("page", [path for path in PAGES if "docs" in path.parts], ids=lambda path: path.name)
def test_every_page_is_linked(page: Path) -> None:
    pages = [PROJECT / "README.md", PROJECT / "docs" / "decisions" / "README.md"]
    assert any(
        f"{page.relative_to(one.parent)})" in one.read_text(encoding="utf-8")
        for one in pages
        if page.is_relative_to(one.parent)
    )


def _prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """What links to the headings of a page end in, as code hosts make it."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_modules_that_pages_name_are_there() -> None:
    folders = ("stopcli", "tests", "benchmarks", "docs", "examples")
    files = ["setup.py", "FILE.py"]  # the latter stands for a file of the reader's
    files += [str(path.relative_to(PROJECT)) for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    for page in PAGES:
        for name in re.findall(r"`((?:[\w]+/)*\w+\.py)\b", page.read_text(encoding="utf-8")):
            assert any(f"/{file}".endswith(f"/{name}") for file in files), (page.name, name)


def test_what_the_pages_show_of_the_command_line_is_there() -> None:
    """The options in shell commands of the README and the guides are options of these commands."""
    help_of = dict(
        re.findall(
            r"^## (\S+)\n\n```text\n(.*?)^```",
            (PROJECT / "docs" / "commands.md").read_text("utf-8"),
            re.DOTALL | re.MULTILINE,
        )
    )
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                for command, words in re.findall(r"stopcli ([a-z-]+)([^#&;`]*)", line.split("  #")[0]):
                    known = "".join(help_of.values()) if command == "verify-resume" else help_of[command]
                    for option in re.findall(r"--[a-z][a-z-]*", words):
                        assert re.search(rf"{option}(?![\w-])", known), (page.name, line)


def _blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_pages_python_runs_and_its_rules_fire() -> None:
    _, recorded, shortest = _blocks("README.md")
    by_hand, callback, rules, joined, cyclical, layers = _blocks("docs/guides/your-own-model.md")
    assert len([line for line in shortest.splitlines() if line]) <= 15
    shown = "print(run.verdict.rule, run.verdict.epoch, run.best_epoch)"
    assert "val_rmse patience=20 71 51" in finished(recorded + shown)
    assert "Verdict(reason='patience', rule='val_loss patience=5'" in finished(shortest)
    assert "Verdict(reason='patience', rule='val_rmse patience=30', epoch=" in finished(by_hand)
    output = finished(callback + "print(recorder.verdict)\n" + rules)
    assert "Verdict(reason='patience', rule='val_accuracy patience=5'" in output
    assert "Verdict(reason='patience', rule='val_accuracy patience=20 min_delta=0.01'" in output
    recordings = sorted(path.name.partition("-")[2] for path in Path("runs").iterdir())
    assert recordings == ["recorded-line", "recorded-mine", "recorded-moons"]
    stop = "smoothed val_loss patience=2 smooth=0.5 at epoch 5 and val_accuracy patience=3 min_delta=1% at epoch 4"
    assert finished(joined).endswith(f"5 {stop}\n")
    # Of unseeded trainings some improve in the last of their epochs.
    output = finished("import keras\nkeras.utils.set_random_seed(1)\n" + cyclical)
    assert "Verdict(reason='patience', rule='val_accuracy patience=16'" in output
    accuracy = re.search(r"best_value=([0-9.]+)", output)
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
def test_every_experiment_can_be_run_at_every_scale_and_size(path: Path) -> None:
    (published,) = read_all([path])
    digits = Images("digits", {"limit": 1437, "test_limit": 360})
    for scale, images in (("full", None), ("quick", None), ("quick", digits), ("overnight", None)):
        for size in sizes_of(published, scale) or [Size()]:
            of_images = images if needs_images(published) else None
            for config in configs_of(published, scale, of_images, size=size).values():
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
