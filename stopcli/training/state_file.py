"""The exact state of a training, in a file; and the fingerprint of what it was made under."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stopcli.configs.base import RunConfig, settings_of, settings_with
from stopcli.configs.precision import with_precision
from stopcli.data.dataset import Examples, Splits
from stopcli.data.nest import named_leaves
from stopcli.data.row_view import row_chunks, rows_of
from stopcli.errors import CheckpointError, RecordError, RequestError
from stopcli.runs.environment import versions
from stopcli.runs.files import Prefix, replacing

FORMAT = 3
# How many of the newest states stay.
NEWEST = 2
_SUFFIX = ".state"
# The fields of TrainState that are arrays; all others are in meta.json.
_ARRAYS = ("live", "partial_sums", "best_states")

Arrays = tuple[np.ndarray[Any, Any], ...]


@dataclass(frozen=True)
class TrainState:
    """A position of a run and everything that training resumes from.

    Attributes:
        epoch, step: done so far; more steps than the epochs have lie in the next one.
        live: the loop's state.
        rule_state: the stopping rule's state, as `Rule.state_to_dict` gives it.
        best: by `watch` (the best by the monitored metric) and `keep` (for checkpoints): the epoch and its value.
        best_states: by the same names, the state after that epoch where it is needed.
        files: what of each appended file belongs to the position, by its path in the run's folder.
        train_seconds: spent training so far.
        fingerprint: what the numbers depend on: config, versions, data; compared when the run is resumed.
        stopped: the verdict where training has ended at this position, else None.
        partial_sums: of the epoch that the position lies in, as in `Partial`; no array between two epochs.
        steps_per_epoch: when it was saved.
        partial_seconds: spent in that epoch.
        validation_seconds: of `train_seconds`, those in which rows were measured and nothing was trained.
        plateau_state: of the reduction of the learning rate, where there is one.
    """

    epoch: int
    step: int
    live: Arrays
    rule_state: dict[str, Any]
    best: dict[str, tuple[int, float | None]]
    best_states: dict[str, Arrays]
    files: dict[str, Prefix]
    train_seconds: float
    fingerprint: dict[str, Any]
    stopped: dict[str, Any] | None = None
    partial_sums: Arrays = ()
    steps_per_epoch: int = 0
    partial_seconds: float = 0.0
    validation_seconds: float = 0.0
    plateau_state: dict[str, Any] = field(default_factory=dict)


@dataclass
class LoadedState:
    """The newest state that a run can resume from, and the files of newer ones that it cannot, the newest first.

    A CheckpointError says that one is damaged, a RecordError that the run's metrics, steps or times are not those that
    it was saved with.
    """

    state: TrainState | None
    skipped: list[tuple[Path, CheckpointError | RecordError]] = field(default_factory=list)


class StateStore:
    """The states in a run's checkpoints/resume/."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: TrainState) -> None:
        """Write a state, and remove all but the last two. Raises OSError where it could not be written; the states
        before it are untouched."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"step-{state.step:012}{_SUFFIX}"
        if path.is_dir():
            # It was skipped, and a file cannot replace it.
            path.rename(path.with_name(f"{path.name}.folder"))
        with replacing(path) as new:
            _write(new, state)
        # Later ones were skipped when the run was resumed: they are not of the two.
        own = [file for file in self.files() if file.name <= path.name and file.is_file()]
        for old in own[NEWEST:]:
            old.unlink()

    def files(self) -> list[Path]:
        """The states' files, the newest first."""
        return sorted(self._folder.glob(f"step-*{_SUFFIX}"), reverse=True)

    def load(self, check: Callable[[TrainState], None] | None = None) -> LoadedState:
        """The newest state whose every hash is right, and that `check` accepts, which raises RecordError for one that
        was saved with another record than the run has."""
        skipped: list[tuple[Path, CheckpointError | RecordError]] = []
        for path in self.files():
            try:
                state = read_state(path)
                if check is not None:
                    check(state)
                return LoadedState(state, skipped)
            except (CheckpointError, RecordError) as error:
                skipped.append((path, error))
        return LoadedState(None, skipped)


def _write(path: Path, state: TrainState) -> None:
    groups = {"live": state.live, "partial": state.partial_sums}
    groups |= {f"best-{name}": arrays for name, arrays in state.best_states.items()}
    parts = {f"{name}/{i:04}.npy": _npy(array) for name, group in groups.items() for i, array in enumerate(group)}
    # asdict would copy every array.
    plain = {name: getattr(state, name) for name in state.__dataclass_fields__ if name not in _ARRAYS}
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    meta = json.dumps({"format": FORMAT, "point": plain, "sha256": hashes}, allow_nan=False).encode()
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr("meta.json", meta)
        archive.writestr("meta.sha256", hashlib.sha256(meta).hexdigest())
        for name, part in parts.items():
            archive.writestr(name, part)


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def read_state(path: Path) -> TrainState:
    """The state in a file. Raises CheckpointError where the file is missing, damaged, of another format, or holds
    anything but plain arrays."""
    if path.exists() and not path.is_file():
        # A pipe would be waited for without end.
        raise CheckpointError(f"{path}: not a state that can be resumed (not a regular file)")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        meta_bytes = parts.pop("meta.json")
        if hashlib.sha256(meta_bytes).hexdigest().encode() != parts.pop("meta.sha256"):
            raise ValueError("meta.json does not have its hash")
        meta = json.loads(meta_bytes)
        if meta["format"] != FORMAT:
            raise ValueError(f"format {meta['format']}, expected {FORMAT}")
        if meta["sha256"].keys() != parts.keys():
            raise ValueError("parts are missing or foreign")
        for name, part in parts.items():
            if hashlib.sha256(part).hexdigest() != meta["sha256"][name]:
                raise ValueError(f"{name} does not have its hash")
        return _point(meta["point"], parts)
    # zipfile raises whatever its parsing meets: zlib and struct errors, EOFError, NotImplementedError, …
    except Exception as error:
        raise CheckpointError(f"{path}: not a state that can be resumed ({type(error).__name__}: {error})") from error


def _array(npy: bytes) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(io.BytesIO(npy), allow_pickle=False)
    if array.dtype == np.dtype("V2"):
        # NumPy has no bfloat16, and writes such numbers as two bytes of anything.
        from ml_dtypes import bfloat16

        array = array.view(bfloat16)
    return array


def _point(plain: dict[str, Any], parts: Mapping[str, bytes]) -> TrainState:
    def arrays(prefix: str) -> Arrays:
        names = sorted(name for name in parts if name.startswith(f"{prefix}/"))
        return tuple(_array(parts[name]) for name in names)

    best_names = {name.split("/")[0].removeprefix("best-") for name in parts if name.startswith("best-")}
    best = {name: (int(epoch), value) for name, (epoch, value) in plain.pop("best").items()}
    files = {name: Prefix(int(length), str(sha256)) for name, (length, sha256) in plain.pop("files").items()}
    return TrainState(
        live=arrays("live"),
        partial_sums=arrays("partial"),
        best=best,
        files=files,
        best_states={name: arrays(f"best-{name}") for name in best_names},
        **plain,
    )


# Packages whose other version may compute other numbers.
PACKAGES = ("tensorflow", "keras", "numpy")


# Settings that say where the data, or a user's file, are. Whether these are the same is checked by what is in them.
PLACE_SETTINGS = frozenset({"dataset", "file", "table"})


def place_settings(config: RunConfig) -> frozenset[str]:
    """Those of a config: its model may be a user's file too."""
    return PLACE_SETTINGS | ({"model"} if getattr(config, "file", "") else set())


def settings_fingerprint(config: RunConfig) -> dict[str, Any]:
    """The parts that are known before TensorFlow is: settings and versions."""
    # A saved fingerprint comes back from JSON, which knows only lists.
    free = settings_with(type(config), "free")
    settings: dict[str, Any] = {}
    for key, value in settings_of(config).items():
        if key in free:
            continue
        if isinstance(value, Mapping):
            settings |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            settings[key] = list(value) if isinstance(value, tuple) else value
    installed = versions()
    return {
        **{f"setting {key}": value for key, value in settings.items()},
        **{f"version of {package}": installed[package] for package in PACKAGES},
    }


def data_fingerprint(parts: Splits) -> dict[str, str]:
    """A hash of every row that is trained on or measured."""
    return {"data": hash_of_rows(parts.train, parts.validation, parts.test)}


def hash_of_rows(*parts: Examples) -> str:
    """A hash of inputs, targets and, where there are some, weights in their order."""
    digest = hashlib.sha256()
    for rows in parts:
        arrays = [*named_leaves(rows.x), *named_leaves(rows.y)]
        for name, array in [*arrays, *([] if rows.weight is None else [("weight", rows.weight)])]:
            digest.update(f"{array.dtype} {array.shape} {name and name + ' '}".encode())
            # As it lies in memory, some rows at a time: `tobytes` would hold all of it a second time.
            for chunk in row_chunks(array):
                digest.update(np.ascontiguousarray(rows_of(array, chunk)).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], *, without: Collection[str] = ()) -> list[str]:
    """How the parts that `now` has differ from the saved ones, a line each.

    Parts that only `saved` has are compared where they are of the same kind (a setting that was removed).

    Args:
        without: settings that may differ.
    """
    if "setting precision" in now:
        saved = with_precision(saved, "setting ")
    kinds = {key.split(" ")[0] for key in now}
    keys = [*now, *(key for key in saved if key not in now and key.split(" ")[0] in kinds)]
    may_differ = {f"setting {name}" for name in without}
    return [_was_is(key, key, saved, now) for key in keys if key not in may_differ and saved.get(key) != now.get(key)]


def settings_differences(saved: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """How some settings differ, a line each, in the order of their names."""
    keys = {name: f"setting {name}" for name in sorted(names)}
    return [_was_is(name, key, saved, now) for name, key in keys.items() if saved.get(key) != now.get(key)]


def _was_is(label: str, key: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return f"{label}: was {saved.get(key, 'not set')!r}, is {now.get(key, 'not set')!r}"


def changed_error(changed: Sequence[str], *, hint: str = "") -> RequestError:
    """The error that shows what has changed since a run was started; the hint says what to do instead of forcing it."""
    lines = "\n  ".join(changed)
    forced = "--force resumes it anyway, and records the change."
    return RequestError(
        f"the resumed run would differ from the one that was started:\n  {lines}",
        hint=f"{hint} {forced}" if hint else forced,
    )
