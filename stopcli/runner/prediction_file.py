"""A new file of predictions, CSV or Parquet: written chunk by chunk, and there once it is whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError, RequestError, ResourceError, system_words
from stopcli.paths import check_path
from stopcli.runs.files import new_file

if TYPE_CHECKING:
    import pandas

Write = Callable[["pandas.DataFrame"], None]
_ENDINGS = (".csv", ".parquet")


def check_prediction_file(path: Path) -> None:
    """Check, before anything is computed, that a file of predictions can be written.

    Raises:
        ConfigError: its name ends in neither .csv nor .parquet.
        RequestError: it exists, or its folder does not or cannot be written; of Parquet, pyarrow is not installed.
    """
    if path.suffix.casefold() not in _ENDINGS:
        raise ConfigError("to", str(path), f"a file that ends in {' or '.join(_ENDINGS)}")
    check_path(path)
    if os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise RequestError(f"{path}: the folder cannot be written")
    if path.suffix.casefold() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            message = f"{path}: Parquet needs pyarrow, which is not installed"
            raise RequestError(message, hint="pip install 'stopcli[tables]'") from error


def _exists(path: Path) -> RequestError:
    return RequestError(f"{path}: exists already", hint="No file is overwritten: give another name, or move it.")


@contextlib.contextmanager
def prediction_file(path: Path) -> Iterator[Write]:
    """A file of predictions that is there once the block has ended well, and else leaves nothing.

    Returns:
        What appends a chunk; all have the same columns.

    Raises:
        RequestError: somebody has made the file meanwhile.
        ResourceError: it cannot be written, such as to a disk that is full.
    """
    writer = _parquet if path.suffix.casefold() == ".parquet" else _csv
    try:
        with new_file(path) as new, writer(new) as write:
            yield write
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({system_words(error)})") from error


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield csv_writer(file.write)


def csv_writer(write: Callable[[str], Any]) -> Write:
    """What writes chunks as CSV, the first one with the columns' names above it."""
    is_first = True

    def append(chunk: pandas.DataFrame) -> None:
        nonlocal is_first
        write(chunk.to_csv(index=False, header=is_first, lineterminator="\n"))
        is_first = False

    return append


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow
    import pyarrow.parquet

    with contextlib.ExitStack() as stack:
        writers: list[Any] = []

        def append(chunk: pandas.DataFrame) -> None:
            # A column of texts without any in its first chunk would be one of nothing.
            types = {"O": pyarrow.string()}
            fields = [
                pyarrow.field(name, types.get(kind.kind) or pyarrow.from_numpy_dtype(kind))
                for name, kind in ((name, column.dtype) for name, column in chunk.astype(_objects(chunk)).items())
            ]
            schema = pyarrow.schema(fields)
            table = pyarrow.Table.from_pandas(chunk, schema=schema, preserve_index=False)
            if not writers:
                writers.append(stack.enter_context(pyarrow.parquet.ParquetWriter(path, schema)))
            writers[0].write_table(table)

        yield append


def _objects(chunk: pandas.DataFrame) -> dict[str, type]:
    return {name: object for name, column in chunk.items() if column.dtype.kind not in "biuf"}
