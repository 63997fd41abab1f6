"""Executes a user's file: its functions with the settings of a run, and an error in them in its author's own lines."""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from stopcli.configs.precision import FLOAT32, PrecisionName
from stopcli.errors import LONG_LINE, RequestError, StopcliError, shortened
from stopcli.recipes.keras_policy import dtype_policy, requested_policy
from stopcli.recipes.user_imports import LocalModules
from stopcli.seeding import derive_seed
from stopcli.source import Default, Source, Unknown, Value, check_default, same_default, typed

if TYPE_CHECKING:
    import keras

# What a file prints, draws at random and names, is the whole process's: one thread at a time executes it.
_LOCK = threading.RLock()
# Lines of an error's text that are shown, and frames of the file.
_LINES, _FRAMES = 6, 8


def load_code(source: Source, precision: PrecisionName = FLOAT32) -> UserCode:
    """Execute a user's file, once, as a module of its own whose name is not `__main__`.

    Whether it may be executed is for `recorded_code.read_code` to say.

    Args:
        precision: in which its layers compute, unless they name a dtype of their own. In float32 the dtype policy
            holds that the file sets, if any, and in no other code.

    Raises:
        RequestError: an error was raised by it, which is shown with its own lines; or it has a default that a setting
            cannot have.
        ConfigError: it sets another dtype policy than that of the precision.
    """
    import keras

    modules, before, floatx = LocalModules(source), keras.config.dtype_policy(), keras.config.floatx()
    with _executing(source, ""), requested_policy(precision, source.path.name):
        _seed_generators()
        module = modules.main()
        now = keras.config.dtype_policy()
        if now == before and keras.config.floatx() != floatx:
            # Of layers it is as good as a policy, which no longer follows it once it was read.
            now = keras.DTypePolicy(keras.config.floatx())
    own = now if precision == FLOAT32 and now != before else None
    return UserCode(source, module, precision, own)


class UserCode:
    """The functions of a file that was executed.

    Every call may raise RequestError for an error in the file. What it prints goes to stderr.

    Attributes:
        source: what was executed.
        precision: in which its layers compute.
        own_policy: Keras's dtype policy that the file has set for them; None where it has set none.
        defaults: of all settings, those that were computed too; None where a setting has no type.
    """

    def __init__(self, source: Source, module: ModuleType, precision: PrecisionName, own_policy: Any) -> None:
        self.source = source
        self._module, self.precision, self.own_policy = module, precision, own_policy
        self.defaults: Mapping[str, Value | None] = _computed_defaults(source, module)

    @property
    def definitions(self) -> dict[str, Any]:
        """The classes and functions that the file and the modules beside it define, by name: what a saved model may
        need. Those that they import are not among them, for a model's file could name any of them."""
        main = self._module.__name__
        modules = {name: module for name, module in sys.modules.items() if f"{name}.".startswith(f"{main}.")}
        return {
            name: value
            for module in modules.values()
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) in modules
        }

    @property
    def functions(self) -> frozenset[str]:
        """Which of data, build, augment and after the file defines."""
        return self.source.functions

    @property
    def code_hash(self) -> str:
        return self.source.code_hash

    def settings(self, chosen: Mapping[str, object]) -> dict[str, Value]:
        """All settings of the file: those that were chosen, in the types of their defaults, and the defaults of the
        others; without those whose default is None. Raises ConfigError for one that the file does not have, or of
        another type."""
        for name in chosen:
            self.source.check_name(name)
        values = {name: typed(name, self.defaults[name], value) for name, value in chosen.items()}
        defaults = {name: value for name, value in self.defaults.items() if value is not None}
        return {name: {**defaults, **values}[name] for name in self.defaults if name in values or name in defaults}

    def data(self, settings: Mapping[str, Value]) -> Any:
        """What the file's `data` returns, with all global generators in the same state at every call: the runs of a
        sweep, and a run that is resumed, read the rows anew."""
        with _LOCK:
            _seed_generators()
            return self._call("data", settings)

    def in_precision(self, precision: PrecisionName) -> UserCode:
        """The same for models in another precision. Layers that the file makes where it is executed keep theirs."""
        if precision == self.precision:
            return self
        return UserCode(self.source, self._module, precision, self.own_policy)

    @contextlib.contextmanager
    def executing_data(self) -> Iterator[None]:
        """Around code of the file that runs after `data` has returned, such as what gives the rows of a data set."""
        with _executing(self.source, "data"), dtype_policy(self.own_policy):
            yield

    def policy(self) -> contextlib.AbstractContextManager[None]:
        """Around `build`, and what else creates layers of its model: Keras's dtype policy of the precision, or the
        file's. Raises ConfigError where the block sets another one than that of the precision."""
        return requested_policy(self.precision, self.source.path.name, self.own_policy)

    def build(self, x: Any, y: Any, settings: Mapping[str, Value], seed: int) -> keras.Model:
        """What the file's `build` returns, with all global generators in the state that a run's seed determines, and
        layers named as in a new process. For a block with the `policy`."""
        import keras

        from stopcli.recipes.model_identity import first_names

        with _LOCK, first_names():
            keras.utils.set_random_seed(derive_seed(seed, "weights"))
            return self._called("build", settings, x, y)

    def augment(self, settings: Mapping[str, Value]) -> Callable[[Any, Any, Any], Any] | None:
        """The file's `augment` of x, y and seed with its settings; None where it has none."""
        if "augment" not in self.source.functions:
            return None
        return lambda x, y, seed: self._call("augment", settings, x, y, seed)

    def identity(self, model: keras.Model) -> dict[str, str]:
        """Hashes of what a model that was just built computes, and of the code where that is a part of it: the file may
        change in anything else, and the run is the same."""
        from stopcli.recipes.model_identity import model_fingerprint, uses_own_code

        is_part = "augment" in self.source.functions or uses_own_code(model)
        return {**model_fingerprint(model), "code": self.source.code_hash if is_part else ""}

    def after(self, model: keras.Model, splits: Any, folder: Path, settings: Mapping[str, Value]) -> None:
        """Call the file's `after`, where it has one."""
        if "after" in self.source.functions:
            self._call("after", settings, model, splits, folder)

    def _call(self, function: str, settings: Mapping[str, Value], *arguments: Any) -> Any:
        """Call a function that makes no model: in a short precision none of its numbers are."""
        with dtype_policy(self.own_policy):
            return self._called(function, settings, *arguments)

    def _called(self, function: str, settings: Mapping[str, Value], *arguments: Any) -> Any:
        own = {name: settings[name] for name in self.source.settings_of(function) if name in settings}
        with _executing(self.source, function):
            return getattr(self._module, function)(*arguments, **own)


def _seed_generators() -> None:
    seed = derive_seed(0, "data")
    if "tensorflow" in sys.modules:
        import keras

        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)
    np.random.seed(seed)


def _computed_defaults(source: Source, module: ModuleType) -> dict[str, Value | None]:
    """The defaults of all settings, as the executed functions have them. Raises RequestError for one that a setting
    cannot have, or that two functions have otherwise."""
    defaults: dict[str, Default] = {}
    for function, names in source.settings_by_function.items():
        computed = _keyword_defaults(getattr(module, function))
        for name in names:
            # A decorator may hide the function whose default it was.
            value = _plain(computed.get(name, source.defaults[name]))
            value = check_default(f"{source.path}: the setting {name} of {function}", value)
            if not same_default(defaults.setdefault(name, value), value):
                raise RequestError(
                    f"{source.path}: two functions have different defaults for the setting {name}: "
                    f"{defaults[name]!r} and {value!r}",
                    hint="A name that two functions take is one setting: give it one default, or two names.",
                )
    order = {name: defaults[name] for name in source.defaults}
    return {name: None if isinstance(value, Unknown) else value for name, value in order.items()}


def _keyword_defaults(function: Any) -> Mapping[str, Any]:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return getattr(function, "__kwdefaults__", None) or {}


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


@contextlib.contextmanager
def _executing(source: Source, function: str) -> Iterator[None]:
    """What a block prints goes to stderr, where it does not become a part of a result; what it raises becomes a
    RequestError with the file's own lines. The working folder, by which run folders may be named, is as before."""
    with _LOCK, contextlib.redirect_stdout(sys.stderr), _same_folder():
        try:
            yield
        except (StopcliError, KeyboardInterrupt):
            raise
        except SystemExit as error:
            raise RequestError(_message(source, function, error, "ended the program (sys.exit)")) from error
        except Exception as error:
            message = _message(source, function, error, _sentence(error))
            raise RequestError(message, hint=_beside(source, error)) from error


@contextlib.contextmanager
def _same_folder() -> Iterator[None]:
    """After a block the working folder is that from before."""
    try:
        before = Path.cwd()
    except FileNotFoundError:
        # It was deleted: nothing is named by it.
        yield
        return
    try:
        yield
    finally:
        os.chdir(before)


def _message(source: Source, function: str, error: BaseException, sentence: str) -> str:
    """Where in the file an error was raised, what it says, and the lines that led there."""
    frames = _own_frames(source, error)
    first, *more = sentence.splitlines() or [""]
    where = f", line {frames[-1].lineno}" if frames else ""
    name = frames[-1].filename if frames else str(source.path)
    # Not `<lambda>`, `<listcomp>` or `<module>`.
    inner = frames[-1].name if frames and not frames[-1].name.startswith("<") else function
    lines = [f"{name}{where}{f', in {inner}()' if inner else ''}: {first}", *(f"    {line}" for line in more)]
    if len(frames) == 1:
        return "\n".join([*lines, f"    {(frames[0].line or '').strip()}"])
    for frame in frames[-_FRAMES:]:
        file = Path(frame.filename).relative_to(source.path.parent)
        inside = f", in {frame.name}" if frame.name != "<module>" else ""
        lines += [f"  {file}, line {frame.lineno}{inside}", f"    {(frame.line or '').strip()}"]
    return "\n".join(lines)


def _beside(source: Source, error: BaseException) -> str:
    """How to name a file that is not in the working folder, but beside the user's own; else nothing."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if not isinstance(name, str) or Path(name).is_absolute() or not (source.path.parent / name).exists():
        return ""
    return (
        f"Relative paths count from the working folder, and it lies beside {source.path.name}: "
        f"Path(__file__).parent / {name!r} finds it from anywhere."
    )


def _own_frames(source: Source, error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an error that lie in the file and its local modules, the outermost first."""
    paths = {str(source.path.parent / name) for name in source.files}
    return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in paths]


# What Keras and TensorFlow write around what went wrong: colours, names of operations and devices.
_AROUND = re.compile(
    r"\x1b\[[0-9;]*m|\{\{function_node [^}]*\}\} ?| ?\[Op:\w+\](?: name: ?)?| for '\{\{node [^}]*\}\} = [^']*'"
)
_CALLED = re.compile(r"Exception encountered when calling ([\w.]+)\(\)\.?\s*")
# Of a layer's own `call`, whose error Keras shows below a guess.
_GUESS = re.compile(r"Could not automatically infer the output shape.*?Error encountered:\s*", re.DOTALL)


def _sentence(error: BaseException) -> str:
    """What an error says, in a few lines, without what Keras and TensorFlow write around it."""
    text = _AROUND.sub("", str(error)).strip()
    called = ""
    if match := _CALLED.match(text):
        called = f" (in {match[1]})"
        text = text[match.end() :]
    text = _GUESS.sub("", text.partition("Arguments received by")[0]).strip()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    shown_lines = [shortened(line, LONG_LINE) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown_lines.append("…")
    kind = type(error).__name__
    if not shown_lines:
        return f"{kind}{called}"
    return "\n".join([f"{kind}: {shown_lines[0]}{called}", *shown_lines[1:]])
