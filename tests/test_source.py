"""What is read of a user's file before any of it is executed."""

from __future__ import annotations

import ast
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from stopcli.errors import ConfigError, RequestError
from stopcli.source import UNKNOWN, read_source, source_of, typed

GOOD = "def data():\n    return x, y\n\ndef build(x, y):\n    return model\n"


def write(folder: Path, text: str | bytes, name: str = "rooms.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> tuple[str, str]:
    """What a file is refused with, without the folder's name; and the hint."""
    with pytest.raises(RequestError) as raised:
        read_source(path)
    return raised.value.message.replace(f"{path.parent}/", ""), raised.value.hint


def test_settings_are_the_keyword_only_defaults(tmp_path: Path) -> None:
    code = """
RATE = 1e-3
def data(*, path="rooms.npz", rows=-1): ...
def build(x, y, *, units=64, rate=RATE, relu=True, dropout=.5, rows=-1, seed_of_layer=None): ...
def after(model, splits, folder, *, top=3): ...
"""
    source = read_source(write(tmp_path, code))
    assert source.functions == {"data", "build", "after"}
    assert source.defaults == {
        "path": "rooms.npz",
        "rows": -1,
        "units": 64,
        "rate": UNKNOWN,
        "relu": True,
        "dropout": 0.5,
        "seed_of_layer": None,
        "top": 3,
    }
    assert source.settings_of("build") == ("units", "rate", "relu", "dropout", "rows", "seed_of_layer")
    assert source.settings_of("augment") == ()
    assert pickle.loads(pickle.dumps(source)) == source
    assert pickle.loads(pickle.dumps(source)).defaults["rate"] is UNKNOWN


def test_local_modules_are_those_that_an_import_would_execute(tmp_path: Path) -> None:
    code = """
import os, numpy, helpers
import package.deep as deep
from package import other, CONSTANT
from spaces.inner import thing
from installed_nowhere import nothing
""" + GOOD.replace("return x, y", "import lazy; return lazy.rows()")
    path = write(tmp_path, code)
    write(tmp_path, "import rooms\nfrom package import *", "helpers.py")
    write(tmp_path, "from .start import begin", "package/__init__.py")
    write(tmp_path, "from .. import helpers\nfrom . import sub", "package/deep.py")
    write(tmp_path, "from ..lazy import x\nfrom .sub.leaf import y", "package/other.py")
    for name in ("lazy.py", "package/start.py", "package/sub/__init__.py", "package/sub/leaf.py", "spaces/inner.py"):
        write(tmp_path, "", name)
    # Neither is imported; a folder without a module comes after an installed package.
    write(tmp_path, "", "unused.py")
    write(tmp_path, "", "numpy/linalg.py")
    assert list(read_source(path).files) == [
        *("rooms.py", "helpers.py", "lazy.py", "package/__init__.py", "package/deep.py", "package/other.py"),
        *("package/start.py", "package/sub/__init__.py", "package/sub/leaf.py", "spaces/inner.py"),
    ]


def test_the_hash_is_of_every_byte_and_the_code_hash_of_the_code(tmp_path: Path) -> None:
    code = '"""Rooms."""\nimport helpers\n' + GOOD
    path = write(tmp_path, code)
    write(tmp_path, "def scale(x):\n    return x * 2\n", "helpers.py")
    source = read_source(path)
    texts = (path.read_bytes(), (tmp_path / "helpers.py").read_bytes())
    digest = hashlib.sha256()
    for name, content in zip((b"", b"helpers.py"), texts, strict=True):
        digest.update(name + b" " + str(len(content)).encode() + b"\n" + content)
    assert source.sha256 == digest.hexdigest()
    # Comments, docstrings and layout.
    write(tmp_path, 'def scale(x):  # twice\n    "Scale."\n    return (x *\n        2)\n', "helpers.py")
    commented = read_source(path)
    assert (commented.code_hash, commented.sha256 == source.sha256) == (source.code_hash, False)
    # The file's own name says nothing.
    assert source_of(tmp_path / "other.py", {"other.py": code, "helpers.py": source.files["helpers.py"]}) == (
        type(source)(
            **{
                **vars(source),
                "path": tmp_path / "other.py",
                "files": {"other.py": code, "helpers.py": source.files["helpers.py"]},
            }
        )
    )
    hashes = {source.code_hash}
    for other in (
        "return x * 3",
        "return x * 2.0",
        "return x * -2",
        "return x ** 2",
        "return x * '2'",
        "return x * True",
    ):
        write(tmp_path, f"def scale(x):\n    {other}\n", "helpers.py")
        hashes.add(read_source(path).code_hash)
    write(tmp_path, "def scale(x, y=None):\n    return x * 2\n", "helpers.py")
    hashes.add(read_source(path).code_hash)
    assert len(hashes) == 8


@pytest.mark.parametrize(
    "pair", [("x = None", "x = 0"), ("x = []", "x = None"), ("f(*a)", "f(a)"), ("x: int", "x: str")]
)
def test_code_that_differs_has_another_hash(tmp_path: Path, pair: tuple[str, str]) -> None:
    one, other = (source_of(tmp_path / "a.py", {"a.py": f"{GOOD}{line}\n"}).code_hash for line in pair)
    assert one != other
    assert ast.dump(ast.parse(pair[0])) != ast.dump(ast.parse(pair[1]))


def test_files_that_are_no_python_are_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert refusal(tmp_path / "room.py") == ("room.py: no such file", "Did you mean rooms.py?")
    (tmp_path / "folder.py").mkdir()
    assert "a folder, expected a Python file" in refusal(tmp_path / "folder.py")[0]
    assert "not a Python file in UTF-8 (byte 5 is no text)" in refusal(write(tmp_path, b"caf\xc3\xa9\xe9", "l.py"))[0]
    assert "not a Python file (byte 0 is zero)" in refusal(write(tmp_path, b"\0\0", "zero.py"))[0]
    assert "expected a Python file" in refusal(write(tmp_path, b"x" * 3_000_000, "rooms.npz"))[0]
    message, hint = refusal(write(tmp_path, "{}", "rooms.ipynb"))
    assert "a notebook" in message
    assert "nbconvert" in hint
    (tmp_path / "loop.py").symlink_to("loop.py")
    assert refusal(tmp_path / "loop.py")[0].startswith("loop.py: ")


def test_a_syntax_error_shows_its_line_and_a_caret(tmp_path: Path) -> None:
    message, _ = refusal(write(tmp_path, "def data():\n    return (1, 2\n\ndef build(x, y): ...\n"))
    assert message == "rooms.py, line 2: '(' was never closed\n    return (1, 2\n           ^"
    path = write(tmp_path, "import broken\n" + GOOD)
    write(tmp_path, "\tx = 1\n", "broken.py")
    assert refusal(path)[0].startswith("broken.py, line 1: unexpected indent\n    x = 1\n")


BUILD = "def build(x, y): ..."
MISSHAPEN = {
    "": ("has no function data, expected def data(*, …), which returns (x, y)", "stopcli fit --help"),
    "def dat(): ...": ("has no function data", "Did you mean"),
    "def data(): ...": ("has no function build of x, y, expected def build(x, y, *, …)", "stopcli fit --help"),
    "async def data(): ...": ("line 1: data is an async function, expected a function", ""),
    "class data: ...": ("line 1: data is a class, expected", ""),
    "data = lambda: 0": ("line 1: data is a lambda, expected", ""),
    "from rows import data": ("line 1: data is imported, expected", "A function data that calls it does;"),
    f"def data(path): ...\n{BUILD}": (
        "line 1: data has a positional parameter without default (path)",
        "def data(*, path=…)",
    ),
    "def data(): ...\ndef build(x): ...": ("line 2: build has the positional parameters x; expected 2 (x, y)", ""),
    "def data(): ...\ndef build(x, y, units): ...": ("parameters x, y, units; expected 2", "build(x, y, *, units=…)"),
    f"def data(*, units): ...\n{BUILD}": ("the setting units of data has no default", "Such as units=1"),
    f"def data(*, units=[1, 2]): ...\n{BUILD}": (
        "units of data has the default [1, 2], expected true or false",
        "'32,32'",
    ),
    f"def data(*, rate=1e999): ...\n{BUILD}": ("rate of data has the default inf, expected", ""),
    f"{GOOD}def augment(x, y): ...": ("augment has the positional parameters x, y; expected 3 (x, y, seed)", ""),
    f"{GOOD}def after(model): ...": ("after has the positional parameters model; expected 3", ""),
    f"{GOOD}from rows import after": ("line 6: after is imported, expected a function: def after(", "another name"),
    f"{GOOD}augment = 3": ("augment is assigned, expected a function", ""),
    "def data(*, n=1): ...\ndef build(x, y, *, n=1.0): ...": (
        "data (line 1) and build (line 2) have different defaults for the setting n: 1 and 1.0",
        "one default, or two names",
    ),
}


@pytest.mark.parametrize("code", MISSHAPEN)
def test_functions_that_cannot_be_called_are_refused(tmp_path: Path, code: str) -> None:
    message, hint = refusal(write(tmp_path, code))
    assert message.startswith("rooms.py")
    assert MISSHAPEN[code][0] in message
    assert MISSHAPEN[code][1] in hint


def test_functions_may_be_defined_in_a_branch_and_take_more_than_they_need(tmp_path: Path) -> None:
    code = "try:\n    import jax\nexcept ImportError:\n    def data(rows=3, *, n=2): ...\ndef build(*arrays): ...\n"
    source = read_source(write(tmp_path, "\ufeff" + code))
    assert source.defaults == {"n": 2}


def test_a_value_has_the_type_of_its_default() -> None:
    for default, value, expected in (
        *((64, "32", 32), (64, 32, 32), (0.5, "1e-3", 1e-3), (0.5, 1, 1.0), (True, "false", False), ("a", "3", "3")),
        (UNKNOWN, 3, 3),
    ):
        result = typed("n", default, value)
        assert (result, type(result)) == (expected, type(expected))
    for default, wrong, expectation in (
        *((64, "a", "a whole number"), (64, 1.5, "a whole number"), (64, True, "a whole number")),
        *((0.5, "nan", "a number"), (True, 1, "true or false"), ("a", 3, "a text"), (None, 3, "has no type")),
    ):
        with pytest.raises(ConfigError, match=expectation):
            typed("n", default, wrong)


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, "def data(*, units=1): ...\ndef build(x, y, layers=3): ...\n"))
    with pytest.raises(ConfigError, match=r"received 'unit', expected a setting of rooms.py \(units\)") as raised:
        source.check_name("unit")
    assert raised.value.hint == "Did you mean units?"
    with pytest.raises(ConfigError) as raised:
        source.check_name("layers")
    assert raised.value.hint == "A parameter is a setting where a * stands before it: def build(x, y, *, layers=…)"


def test_reading_executes_nothing_and_imports_no_tensorflow(tmp_path: Path) -> None:
    write(tmp_path, "open('mark', 'w')\nimport helpers\n" + GOOD)
    write(tmp_path, "open('mark', 'w')", "helpers.py")
    script = (
        "import sys; from pathlib import Path; from stopcli.source import read_source; read_source(Path('rooms.py'));"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'helpers')))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0
    assert not (tmp_path / "mark").exists()
