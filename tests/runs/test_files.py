"""Text files from anywhere: what they hold, or in words what they are not."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import RequestError
from stopcli.runs.files import UnusableFileError, read_json_file, read_toml, write_whole

# Name, content, what it is not.
NO_TOML = {
    "deep": (b"a = " + b"[" * 5000 + b"]" * 5000, "not a TOML file: nested more than 40 levels deep"),
    "deep, but parsed": (b"a = " + b"[" * 60 + b"]" * 60, "not a TOML file: nested more than 40 levels deep"),
    "digits": (b"a = " + b"1" * 5000, "not a TOML file: a whole number of more than 64 bits"),
    # Python reads it, and cannot write it again.
    "hexadecimal digits": (b"a = 0x" + b"f" * 5000, "not a TOML file: a whole number of more than 64 bits"),
    "bytes": (b"a = '\xff'", "not a TOML file: invalid start byte at byte 6, expected UTF-8"),
    "no value": (b"a =", "not a TOML file: Invalid value"),
}
NO_JSON = {
    "empty": (b"", "not JSON: Expecting value"),
    "deep": (b"[" * 100_000, "not JSON: nested more than 40 levels deep"),
    "deep, but parsed": (b'{"a": ' * 60 + b"1" + b"}" * 60, "not JSON: nested more than 40 levels deep"),
    "digits": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON: a whole number of more than 64 bits"),
    "no number": (b'{"a": NaN}', "not JSON: received nan, expected a finite number"),
    "too large for a float": (b'{"a": 1e999}', "not JSON: received inf, expected a finite number"),
    "bytes": (b'{"a": "\xff"}', "not JSON: invalid start byte at byte 8, expected UTF-8"),
}


@pytest.mark.parametrize("kind", NO_TOML)
def test_what_is_no_toml_is_refused_in_a_line(kind: str) -> None:
    content, words = NO_TOML[kind]
    Path("it.toml").write_bytes(content)
    with pytest.raises(RequestError) as refused:
        read_toml(Path("it.toml"))
    assert str(refused.value).startswith(f"it.toml: {words}")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("kind", NO_JSON)
def test_what_is_no_json_is_refused_in_a_line(kind: str) -> None:
    content, words = NO_JSON[kind]
    Path("it.json").write_bytes(content)
    with pytest.raises(UnusableFileError) as refused:
        read_json_file(Path("it.json"))
    assert str(refused.value).startswith(words)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 250


def test_a_byte_order_mark_is_passed_over() -> None:
    Path("it.toml").write_bytes(b'\xef\xbb\xbfcommand = "moons"\n')
    Path("it.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_toml(Path("it.toml")) == {"command": "moons"}
    assert read_json_file(Path("it.json")) == {"a": 1}


def test_half_a_surrogate_pair_becomes_text_that_can_be_written() -> None:
    Path("it.json").write_bytes(json.dumps({"a\udcff": ["\ud800"]}).encode())
    assert read_json_file(Path("it.json")) == {"a\\udcff": ["\\ud800"]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFOs")
def test_a_pipe_that_nobody_writes_to_holds_nothing_up() -> None:
    os.mkfifo("it")
    with pytest.raises(UnusableFileError, match="is not a regular file"):
        read_json_file(Path("it"))
    # A config may be piped in; this one is empty.
    assert read_toml(Path("it")) == {}


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="the system names no pipes")
def test_a_config_can_be_piped_in() -> None:
    out, into = os.pipe()
    os.write(into, b'command = "moons"\n')
    os.close(into)
    try:
        assert read_toml(Path(f"/dev/fd/{out}")) == {"command": "moons"}
    finally:
        os.close(out)


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "file/below", "loop", "folder"])
def test_a_path_that_the_system_refuses_is_no_file(path: str) -> None:
    Path("file").touch()
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    with pytest.raises(UnusableFileError, match=r"cannot be read|is a folder"):
        read_json_file(Path(path))
    with pytest.raises(RequestError, match=r"cannot be read|is a folder"):
        read_toml(Path(path))


@given(st.binary(max_size=60) | st.text('[]{}"\\:,=.#0123456789eEtfx_-+ \n', max_size=60).map(str.encode))
def test_nothing_else_is_raised_whatever_a_file_holds(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "file"
    file.write_bytes(content)
    for read in (read_toml, read_json_file):
        with contextlib.suppress(UnusableFileError, RequestError):
            read(file)


def test_texts_and_bytes_are_written_whole(tmp_path: Path) -> None:
    for content in ("été\n", b"\0\xff\r\n"):
        write_whole(tmp_path / "it", content)
        expected = content if isinstance(content, bytes) else content.encode()
        assert (tmp_path / "it").read_bytes() == expected
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "it"]
