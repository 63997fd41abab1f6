"""Executing a user's file: its settings, its own modules, and errors in its author's lines. The model is none here."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.user_code import UserCode, load_code
from stopcli.source import read_source

BUILD = "def build(x, y): ...\n"


def load(folder: Path, files: dict[str, str] | str) -> UserCode:
    """A file, and those beside it, written and executed."""
    files = {"rooms.py": files} if isinstance(files, str) else files
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return load_code(read_source(folder / next(iter(files))))


def error_of(folder: Path, call: Any) -> str:
    with pytest.raises(RequestError) as raised:
        call()
    return raised.value.message.replace(f"{folder}/", "")


def test_settings_are_complete_and_typed(tmp_path: Path) -> None:
    code = load(
        tmp_path,
        "import numpy as np\nRATE = np.float32(0.5)\n"
        "def data(*, path='a', n=None): return path, n\ndef build(x, y, *, units=64, rate=RATE): ...\n",
    )
    assert code.settings({}) == {"path": "a", "units": 64, "rate": 0.5}
    chosen = code.settings({"units": "32", "rate": 1})
    assert chosen == {"path": "a", "units": 32, "rate": 1.0}
    assert isinstance(chosen["rate"], float)
    assert code.data({"path": "b", "units": 3}) == ("b", None)
    with pytest.raises(ConfigError, match=r"expected a setting of rooms\.py"):
        code.settings({"unit": 3})
    with pytest.raises(ConfigError, match="a whole number for units"):
        code.settings({"units": "many"})


def test_computed_defaults_are_checked(tmp_path: Path) -> None:
    assert "the setting n of data has the default (1, 2)" in error_of(
        tmp_path, lambda: load(tmp_path, "N = 1, 2\ndef data(*, n=N): ...\n" + BUILD)
    )
    message = error_of(tmp_path, lambda: load(tmp_path, "N = 3\ndef data(*, n=2): ...\ndef build(x, y, *, n=N): ..."))
    assert "different defaults for the setting n: 2 and 3" in message


def test_two_files_have_their_own_modules_of_one_name(tmp_path: Path) -> None:
    """Also those that are imported only inside of a function, in any order."""
    codes = []
    for number in (1, 2):
        files = {
            "rooms.py": "import layers\nfrom package import *\n"
            "def data():\n    import late\n    from package import last\n"
            "    return layers.NUMBER, late.NUMBER, last.NUMBER, STAR, __name__\n" + BUILD,
            "layers.py": f"NUMBER = {number}\nimport rooms\n",
            "late.py": f"from layers import NUMBER as ONE\nNUMBER = 10 * ONE + {number}\n",
            "package/__init__.py": f"STAR = {number} * 2\n",
            "package/last.py": "from .. import layers\nfrom . import STAR\nNUMBER = layers.NUMBER + STAR\n",
        }
        codes.append(load(tmp_path / str(number), files))
    assert [code.data({})[:-1] for code in reversed(codes)] == [(2, 22, 6, 4), (1, 11, 3, 2)]
    names = {code.data({})[-1] for code in codes}
    assert len(names) == 2
    assert all(name.startswith("stopcli_file_") for name in names)
    assert not {"rooms", "layers", "late", "package"} & {*sys.modules}
    assert not [entry for entry in sys.path if entry.startswith(str(tmp_path))]


def test_what_was_read_is_executed(tmp_path: Path) -> None:
    """Although the files have been replaced since; and that is what errors show."""
    (tmp_path / "rooms.py").write_text("import layers\ndef data():\n    return layers.scale(1)\n" + BUILD)
    (tmp_path / "layers.py").write_text("def scale(x):\n    return x / 0  # as it was\n")
    source = read_source(tmp_path / "rooms.py")
    for name in source.files:
        (tmp_path / name).write_text("raise SystemExit('executed')\n")
    message = error_of(tmp_path, lambda: load_code(source).data({}))
    assert message == (
        "layers.py, line 2, in scale(): ZeroDivisionError: division by zero\n"
        "  rooms.py, line 3, in data\n    return layers.scale(1)\n"
        "  layers.py, line 2, in scale\n    return x / 0  # as it was"
    )


def test_a_link_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    load(tmp_path / "far", {"rooms.py": "import layers\ndef data(): return __file__\n" + BUILD, "layers.py": ""})
    (tmp_path / "near.py").symlink_to(tmp_path / "far" / "rooms.py")
    assert load_code(read_source(tmp_path / "near.py")).data({}) == str(tmp_path / "far" / "rooms.py")


def test_what_the_file_prints_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path.cwd()
    code = load(
        tmp_path, "import sys\nprint('top')\ndef data():\n    print('rows')\n    sys.stdout.write('more')\n" + BUILD
    )
    code.data({})
    assert capsys.readouterr() == ("", "top\nrows\nmore")
    assert Path.cwd() == folder
    assert code.source.path.is_absolute()


def test_what_the_file_draws_is_the_same_at_every_call(tmp_path: Path) -> None:
    """Each process of a sweep reads the rows itself, and so does a run that is resumed."""
    draws = (
        "import numpy, random\nX = numpy.random.rand(2)\ndef data(): return *X, numpy.random.rand(), random.random()\n"
    )
    code = load(tmp_path, draws + BUILD)
    rows = code.data({})
    assert len(set(rows)) > 2
    assert code.data({}) == rows
    assert load_code(read_source(tmp_path / "rooms.py")).data({}) == rows


def test_prints_of_several_threads_leave_stdout_as_it_was(tmp_path: Path) -> None:
    code, before = load(tmp_path, "import time\ndef data(): time.sleep(0.001)\n" + BUILD), sys.stdout
    threads = [threading.Thread(target=lambda: [code.data({}) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before


ERRORS = {
    "raise ValueError('no rooms\\nin the file')": (
        "rooms.py, line 2, in data(): ValueError: no rooms\n    in the file\n"
        "    raise ValueError('no rooms\\nin the file')"
    ),
    "open('none.npz')": (
        "rooms.py, line 2, in data(): FileNotFoundError: [Errno 2] No such file or directory: 'none.npz'\n"
        "    open('none.npz')"
    ),
    "import sys; sys.exit(3)": (
        "rooms.py, line 2, in data(): ended the program (sys.exit)\n    import sys; sys.exit(3)"
    ),
    "import numpy as np; np.zeros(3).reshape(2)": (
        "rooms.py, line 2, in data(): ValueError: cannot reshape array of size 3 into shape (2,)\n"
        "    import numpy as np; np.zeros(3).reshape(2)"
    ),
    "raise ValueError('Exception encountered when calling Sequential.call().\\n\\n\\x1b[1mInput 0 is wrong\\x1b[0m\\n"
    "\\nArguments received by Sequential.call():\\n  • inputs=3')": (
        "rooms.py, line 2, in data(): ValueError: Input 0 is wrong (in Sequential.call)"
    ),
    "raise ValueError('Could not automatically infer the output shape of x.\\nError encountered:\\n\\n7 and 2')": (
        "rooms.py, line 2, in data(): ValueError: 7 and 2\n    raise"
    ),
    "raise ValueError('{{function_node __wrapped__AddV2_/CPU:0}} Incompatible shapes: [2], [3] [Op:AddV2] name: ')": (
        "rooms.py, line 2, in data(): ValueError: Incompatible shapes: [2], [3]\n    raise"
    ),
    "raise KeyError": "rooms.py, line 2, in data(): KeyError\n    raise KeyError",
}


@pytest.mark.parametrize("line", ERRORS)
def test_errors_show_the_lines_of_the_file(tmp_path: Path, line: str) -> None:
    code = load(tmp_path, f"def data():\n    {line}\n" + BUILD)
    assert error_of(tmp_path, lambda: code.data({})).startswith(ERRORS[line])


def test_the_end_of_a_long_sentence_is_shown(tmp_path: Path) -> None:
    """Keras names the shape that it received behind the one that it expected."""
    sentence = "the input is incompatible with the layer: " + "expected 4, " * 12 + "received (3, 3)"
    code = load(tmp_path, f"def data(): raise ValueError({sentence!r})\n" + BUILD)
    assert sentence in error_of(tmp_path, lambda: code.data({}))


def test_a_file_beside_the_users_own_is_named_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code = load(tmp_path, {"rooms.py": "def data(*, name='rooms.csv'): return open(name)\n" + BUILD, "rooms.csv": ""})
    with pytest.raises(RequestError) as raised:
        code.data({"name": "rooms.csv"})
    assert "Path(__file__).parent / 'rooms.csv' finds it from anywhere" in raised.value.hint
    with pytest.raises(RequestError) as raised:
        code.data({"name": "none.csv"})
    assert raised.value.hint == ""


def test_errors_of_the_module_itself_have_no_function(tmp_path: Path) -> None:
    message = error_of(tmp_path, lambda: load(tmp_path, "import nothing_like_it\ndef data(): ...\n" + BUILD))
    assert message.startswith("rooms.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it'\n    import")
    many = "def data(): return data()\n" + BUILD
    lines = error_of(tmp_path, lambda: load(tmp_path, many).data({})).splitlines()
    assert lines[0].endswith("RecursionError: maximum recursion depth exceeded")
    assert len(lines) < 20


def test_ctrl_c_is_not_an_error_of_the_file(tmp_path: Path) -> None:
    code = load(tmp_path, "def data(): raise KeyboardInterrupt\n" + BUILD)
    with pytest.raises(KeyboardInterrupt):
        code.data({})


def test_augment_and_after_have_their_settings(tmp_path: Path) -> None:
    code = load(
        tmp_path,
        "def data(): ...\n" + BUILD + "def augment(x, y, seed, *, noise=0.5): return x + noise, y, seed\n"
        "def after(model, splits, folder, *, name='a.txt'): (folder / name).write_text(model)\n",
    )
    augment = code.augment(code.settings({"noise": 2}))
    assert augment is not None
    assert augment(1, 2, 3) == (3.0, 2, 3)
    code.after("model", None, tmp_path, code.settings({"name": "b.txt"}))
    assert (tmp_path / "b.txt").read_text() == "model"
    plain = load(tmp_path, {"plain.py": "def data(): ...\n" + BUILD})
    assert plain.augment({}) is None
    plain.after(None, None, tmp_path, {})


def test_a_file_that_changes_the_working_folder_changes_it_for_itself_only(tmp_path: Path) -> None:
    text = "import os\nos.chdir('/')\ndef data():\n    os.chdir('/')\n    raise ValueError\ndef build(x, y): ...\n"
    before = Path.cwd()
    code = load(tmp_path, text)
    assert Path.cwd() == before
    with pytest.raises(RequestError, match="ValueError"):
        code.data({})
    assert Path.cwd() == before
