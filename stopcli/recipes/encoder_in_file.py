"""The encoder in the .keras file of a table's model, read without running anything of it, and what of it is another."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError, shortened
from stopcli.training.model_files import check_model_file

# Words that a message names.
_FEW = 3


@dataclass(frozen=True)
class EncodedColumn:
    """What is done to a column.

    Attributes:
        kind: `numbers` or `words`.
        offset, scale: of numbers, what is added and what the sum is multiplied by, as in the layers' settings.
        has_indicator: whether the network is told where numbers are missing.
        vocabulary: of words.
    """

    kind: str
    offset: float = 0.0
    scale: float = 1.0
    has_indicator: bool = False
    vocabulary: tuple[str, ...] = ()


def encoded_columns(path: Path) -> dict[str, EncodedColumn]:
    """The columns that the model in a file takes, in the order in which they are encoded.

    Raises:
        RequestError: it is no .keras file, or its model takes no rows of a table as stopcli's do.
    """
    check_model_file(path)
    with zipfile.ZipFile(path) as archive:
        described = json.loads(archive.read("config.json"))
    try:
        return _columns_of(described["config"])
    # A file that is no model of a table may have anything in these places.
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        raise RequestError(
            f"{path}: its model does not take the columns of a table",
            hint="Start from the model of another `stopcli fit TABLE`.",
        ) from None


def _columns_of(model: Mapping[str, Any]) -> dict[str, EncodedColumn]:
    name_of = {layer[0]: name for name, layer in model["input_layers"].items()}
    encoder = next(layer for layer in model["layers"] if layer["name"] == "table_encoder")
    inputs: list[str] = []
    for name in _inputs_of(encoder):
        stack = next(layer for layer in model["layers"] if layer["name"] == name)
        # Columns of numbers are one array to the encoder.
        inputs += _inputs_of(stack) if stack["class_name"] == "Stack" else [name]
    names = [name_of[name] for name in inputs]
    layers = encoder["config"]["layers"]
    of_kind = {kind: [layer for layer in layers if layer["class_name"] == kind] for kind in ("StringLookup", "Take")}
    settings = {layer["name"]: layer["config"] for layer in layers}
    offsets = settings["minus_mean"]["offset"] if "minus_mean" in settings else []
    scales = settings["by_deviation"]["scale"] if offsets else []
    indicated = of_kind["Take"][0]["inbound_nodes"][0]["args"][1]["config"]["value"] if of_kind["Take"] else []
    columns = {
        name: EncodedColumn("numbers", float(offset), float(scale), i in indicated)
        for i, (name, offset, scale) in enumerate(zip(names, offsets, scales, strict=False))
    }
    for name, lookup in zip(names[len(offsets) :], of_kind["StringLookup"], strict=True):
        vocabulary = lookup["config"]["vocabulary"]
        columns[name] = EncodedColumn("words", vocabulary=tuple(word for word in vocabulary if word))
    return columns


def _inputs_of(layer: Mapping[str, Any]) -> list[str]:
    """The names of the layers from which one has its list of inputs."""
    return [tensor["config"]["keras_history"][0] for tensor in layer["inbound_nodes"][0]["args"][0]]


def difference(theirs: Mapping[str, EncodedColumn], ours: Mapping[str, EncodedColumn]) -> str:
    """What of one encoder is another than of ours, the first that there is; empty where nothing is."""
    missing = [name for name in ours if name not in theirs]
    further = [name for name in theirs if name not in ours]
    if missing or further:
        parts = [f"no {_listed(missing)}"] if missing else []
        parts += [f"also {_listed(further)}"] if further else []
        return f"its table has {' and '.join(parts)}"
    for compare in (_other_words, _other_numbers):
        for name, column in ours.items():
            if text := compare(theirs[name], column):
                return f"its column {name} has {text}"
    if list(theirs) != list(ours):
        return f"its columns are in another order ({_listed(list(theirs))})"
    return ""


def _other_words(theirs: EncodedColumn, ours: EncodedColumn) -> str:
    if theirs.kind != ours.kind:
        return f"{theirs.kind}, this run's {ours.kind}"
    if theirs.vocabulary == ours.vocabulary:
        return ""
    new = sorted(set(ours.vocabulary) - set(theirs.vocabulary))
    gone = sorted(set(theirs.vocabulary) - set(ours.vocabulary))
    parts = [f"not {_listed(new)}"] if new else []
    parts += [f"also {_listed(gone)}"] if gone else []
    return " and ".join(parts) or "the words in another order"


def _other_numbers(theirs: EncodedColumn, ours: EncodedColumn) -> str:
    if theirs.has_indicator != ours.has_indicator:
        has, has_not = ("some", "none") if ours.has_indicator else ("none", "some")
        return f"{has_not} of its values missing, this run's {has}"
    if (theirs.offset, theirs.scale) != (ours.offset, ours.scale):
        return (
            f"the mean {-theirs.offset:.6g} and the deviation {1 / theirs.scale:.6g}, "
            f"this run's {-ours.offset:.6g} and {1 / ours.scale:.6g}"
        )
    return ""


def _listed(names: Sequence[str]) -> str:
    texts = [shortened(name) if name else '""' for name in names[:_FEW]]
    return ", ".join(texts) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
