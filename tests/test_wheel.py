"""What is uploaded to a package index: a wheel that works by itself, and a page there without dead links."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from readme_renderer import markdown

from stopcli import __version__
from stopcli.cli.app import SUMMARIES

PROJECT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
BUILD = "from setuptools import build_meta; print(build_meta.build_{}({!r}))"
# What a user has to have named to get these; `dev` and `bench` are for the repository.
EXTRAS = ("gpu", "ray", "tables")


@dataclass(frozen=True)
class Wheel:
    """A wheel that was built from a source distribution, as an index has both, and its metadata."""

    path: Path
    names: frozenset[str]
    metadata: importlib.metadata.PackageMetadata

    def addresses(self) -> dict[str, str]:
        """Its project URLs, by their labels."""
        return dict(entry.split(", ") for entry in self.metadata.get_all("Project-URL") or ())

    def requirements(self, extra: str = "") -> list[Requirement]:
        """What is needed, for whichever Python and system, without an extra or because of one."""
        requirements = map(Requirement, self.metadata.get_all("Requires-Dist") or ())
        of_extra = re.compile(r'extra == "(.*)"')
        return [
            requirement
            for requirement in requirements
            if "".join(of_extra.findall(str(requirement.marker or ""))) == extra
        ]


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build an `sdist` or a `wheel` from a folder of sources, with this environment's setuptools."""
    code = BUILD.format(kind, str(folder))
    built = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    return folder / built.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"
    for name in ("stopcli", "experiments"):
        shutil.copytree(PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(PROJECT / name, checkout / name)
    # setuptools would take these by itself, and only these.
    (checkout / "tests").mkdir()
    shutil.copy(__file__, checkout / "tests")
    sdist = build("sdist", checkout, folder)
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if "/tests" in name]
        archive.extractall(folder)
    source = folder / sdist.name.removesuffix(".tar.gz")
    # What an earlier build may have left, as in a checkout.
    (source / "build/lib/stopcli").mkdir(parents=True)
    (source / "build/lib/stopcli/earlier.py").touch()
    path = build("wheel", source, folder)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "unpacked")
        names = frozenset(archive.namelist())
    (distribution,) = importlib.metadata.distributions(path=[str(folder / "unpacked")])
    return Wheel(path, names, distribution.metadata)


class Program:
    """`stopcli` installed from the wheel into an environment that has the dependencies and no checkout."""

    def __init__(self, environment: Path, home: Path) -> None:
        self.scripts = environment / "bin"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STOPCLI"))}
        self._environment = {**inherited, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}

    def __call__(self, *args: str, script: str = "stopcli") -> str:
        """What it prints, started in the working folder."""
        argv = [str(self.scripts / script), *args]
        return subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, check=True, timeout=180
        ).stdout


@pytest.fixture(scope="module")
def program(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Program:
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(environment), "install", *options, str(wheel.path)], check=True
    )
    # The dependencies are those of this environment: installing them anew would take minutes. That no file of another
    # copy of stopcli in there runs is because the wheel's comes before; .pth files in there have no effect.
    (packages,) = environment.glob("lib/python*/site-packages")
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(folders)))
    return Program(environment, tmp_path_factory.mktemp("home"))


def test_a_wheel_has_all_of_the_package_and_the_published_results(wheel: Wheel) -> None:
    files = [path for path in (PROJECT / "stopcli").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(PROJECT).as_posix() for path in files}
    expected |= {f"stopcli/experiments/{path.name}" for path in (PROJECT / "experiments").glob("*.toml")}
    assert {name for name in wheel.names if ".dist-info/" not in name} == expected
    assert "stopcli/py.typed" in expected


def test_its_version_and_addresses_are_those_of_the_repository(wheel: Wheel) -> None:
    assert wheel.metadata["Version"] == __version__
    urls = wheel.addresses()
    repository = urls["Repository"]
    assert {"Repository", "Documentation", "Changelog", "Issues"} <= set(urls)
    for url in urls.values():
        path = url.removeprefix(repository).removeprefix("/blob/main").removeprefix("/tree/main")
        assert path == "/issues" or (PROJECT / path.removeprefix("/")).exists(), url
    # The pages name no other.
    for page in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"):
        owners = re.findall(r"https://github\.com/[\w.-]+/stopcli\b", page.read_text("utf-8"))
        assert set(owners) <= {repository}, page


class Targets(HTMLParser):
    """Where the links and pictures of a page lead, and the names of its headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        if tag == "a":
            self.links.append(values["href"])
        elif tag == "img":
            self.pictures.append(values["src"])
        if "id" in values:
            self.names.add(values["id"])


def test_its_page_on_a_package_index_has_no_dead_link(wheel: Wheel) -> None:
    assert wheel.metadata["Description-Content-Type"] == "text/markdown"
    # As an index renders it, which takes no HTML that could do harm.
    rendered = markdown.render(str(wheel.metadata.get_payload()))  # type: ignore[attr-defined]
    assert rendered is not None
    page = Targets(rendered)
    pictures, pages = (f"{wheel.addresses()['Repository']}/{view}/v{__version__}/" for view in ("raw", "blob"))
    assert len(page.pictures) == 5
    for picture in page.pictures:
        assert picture.startswith(pictures)
        assert (PROJECT / picture.removeprefix(pictures)).is_file(), picture
    inside = [link for link in page.links if not link.startswith("https://")]
    assert {link.removeprefix("#") for link in inside} <= page.names
    outside = [link.partition("#")[0] for link in page.links if link.startswith(pages)]
    assert len(outside) > 15
    for link in outside:
        assert (PROJECT / link.removeprefix(pages)).exists(), link


def test_code_and_other_sites_are_left_as_they_are_on_it() -> None:
    page = "[a](b.md#c) ![p](p.png) [s](https://x.org/y) [h](#h)\n```python\nx[0](y)\n```\n[![i](i.svg)](d/)\n"
    names: dict[str, object] = {"__file__": str(PROJECT / "setup.py")}
    # Without the call that builds.
    exec((PROJECT / "setup.py").read_text("utf-8").partition("\nsetup(")[0], names)
    absolute_links = names["absolute_links"]
    assert callable(absolute_links)
    assert absolute_links(page, "https://h/r", "v1") == (
        "[a](https://h/r/blob/v1/b.md#c) ![p](https://h/r/raw/v1/p.png) [s](https://x.org/y) [h](#h)\n"
        "```python\nx[0](y)\n```\n[![i](https://h/r/raw/v1/i.svg)](https://h/r/blob/v1/d/)\n"
    )


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module without those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from executed(child)


def third_party_imports() -> dict[str, str]:
    """The packages that modules of stopcli import, at their top or later, each with a module that does."""
    imports: dict[str, str] = {}
    for path in (PROJECT / "stopcli").rglob("*.py"):
        for node in executed(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            imports.update(dict.fromkeys((name.partition(".")[0] for name in names), path.name))
    # Python has tomllib from 3.11 on.
    here = {*sys.stdlib_module_names, "tomllib", "stopcli"}
    return {name: path for name, path in imports.items() if name not in here}


def modules_of(distribution: str) -> set[str]:
    """The names that a distribution is imported by; its own where it is not installed, as for another Python."""
    try:
        files = importlib.metadata.files(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        return {distribution.replace("-", "_")}
    return {file.parts[0].partition(".")[0] for file in files if file.suffix in {".py", ".so"}}


def test_what_stopcli_imports_is_declared_and_nothing_else(wheel: Wheel) -> None:
    imports = third_party_imports()
    needed = {requirement.name: modules_of(requirement.name) for requirement in wheel.requirements()}
    optional = {one.name: modules_of(one.name) for extra in EXTRAS for one in wheel.requirements(extra)}
    declared = set().union(*needed.values(), *optional.values())
    assert {name: module for name, module in imports.items() if name not in declared} == {}
    assert [name for name, modules in needed.items() if not modules & set(imports)] == []


def test_the_versions_here_are_ones_that_it_declares(wheel: Wheel) -> None:
    for extra in ("", *EXTRAS):
        for requirement in wheel.requirements(extra):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement


def test_nobody_gets_cuda_who_has_not_named_it(wheel: Wheel) -> None:
    (gpu,) = wheel.requirements("gpu")
    assert (gpu.name, gpu.extras) == ("tensorflow", {"and-cuda"})
    (tensorflow,) = [requirement for requirement in wheel.requirements() if requirement.name == "tensorflow"]
    assert gpu.specifier == tensorflow.specifier
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert "nvidia" not in (PROJECT / lock).read_text("utf-8")


@pytest.mark.slow
def test_installed_it_has_every_command_and_its_own_files(program: Program, wheel: Wheel) -> None:
    assert program("--version").split()[-1] == wheel.metadata["Version"]
    for command in SUMMARIES:
        assert program(command, "--help").startswith(f"Usage: stopcli {command}")
    where = program("-c", "import stopcli; print(stopcli.__file__)", script="python")
    assert Path(where).is_relative_to(program.scripts.parent)


@pytest.mark.slow
def test_installed_it_trains_reports_and_knows_the_published_results(program: Program) -> None:
    summary = json.loads(program("moons", "--epochs", "50", "--run-dir", "first", "--json"))
    assert summary["epochs"] == 50
    assert "data:image/svg+xml;base64," in Path("first/report.html").read_text("utf-8")
    plan = json.loads(program("reproduce", "--scale", "full", "--dry-run", "--dataset", "digits", "--json"))["plan"]
    names = {re.split("[:/]", line)[0] for line in plan}
    assert names == {path.stem for path in (PROJECT / "experiments").glob("*.toml")}
    # Nothing of stopcli's is written but where it was told to.
    assert [path.name for path in Path().iterdir()] == ["first"]
