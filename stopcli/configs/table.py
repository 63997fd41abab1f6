"""The settings of a fit on a table: which column is to be predicted, from which others, and which rows test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from stopcli.configs.base import Count, Option, Positive
from stopcli.errors import ConfigError

ColumnNames = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What of a table is trained on, and the network that is, where no file builds one."""

    table: Annotated[
        str,
        Option(
            "A table with a head: .csv, .tsv, .parquet or .npz. Without FILE.py a multilayer perceptron learns it.",
            "Data",
            ("table",),
            metavar="TABLE",
            is_path=True,
            argument=2,
        ),
    ] = ""
    target: Annotated[
        str,
        Option(
            "The column of the table to predict.", "Data", ("table",), metavar="COLUMN", default="none", common=True
        ),
    ] = ""
    task: Annotated[
        Literal["auto", "classes", "regression"],
        Option(
            "What is predicted; auto: classes for text and for two values, a number for fractions and for many whole "
            "numbers.",
            "Data",
            ("table",),
        ),
    ] = "auto"
    features: Annotated[
        ColumnNames,
        Option(
            "The columns to predict from, a list; a name with commas stands in double quotation marks: rooms "
            "'\"size, m²\"'.",
            "Data",
            ("table",),
            metavar="COLUMN …",
            default="all but the target and those that split the rows",
        ),
    ] = ()
    ignore: Annotated[
        ColumnNames, Option("Columns to leave out, a list.", "Data", ("table",), metavar="COLUMN …", default="none")
    ] = ()
    categorical: Annotated[
        ColumnNames,
        Option(
            "Columns whose numbers are names, such as postcodes, a list.",
            "Data",
            ("table",),
            metavar="COLUMN …",
            default="those with text",
        ),
    ] = ()
    split: Annotated[
        str,
        Option(
            "Which rows of the table test and validate: random, stratified (by class), last, time:COLUMN (the latest), "
            "group:COLUMN (whole groups), column:COLUMN (as it says), hash:COLUMN (a row's part stays whatever is "
            "added); auto: stratified for classes, else random.",
            "Data",
            ("table", "test-rows"),
            metavar="WAY",
            common=True,
        ),
    ] = "auto"
    rows: Annotated[
        Literal["all", "new"],
        Option(
            "Which of the table's rows train; new: those that neither the run of --init-from nor one before it has "
            "trained on.",
            "Data",
            ("table",),
            used_with="init_from",
        ),
    ] = "all"
    hidden: Annotated[
        tuple[Count, ...],
        Option(
            "Units of the hidden layers, a list; none for a linear model.",
            "Training",
            ("table", "network"),
            metavar="N …",
        ),
    ] = (64, 64)
    dropout: Annotated[
        Annotated[float, Ge(0), Lt(1)],
        Option(
            "The share of a hidden layer's units that an update drops, ≥ 0 and < 1.", "Training", ("table", "network")
        ),
    ] = 0.0
    learning_rate: Annotated[Positive, Option("Learning rate of Adam, > 0.", "Training", ("table", "network"))] = 0.001

    def __post_init__(self) -> None:
        if self.table:
            # A run may be resumed in another folder.
            object.__setattr__(self, "table", os.path.abspath(self.table))  # noqa: PTH100


def check_table(config: Any) -> None:
    """Raise ConfigError where the settings of a table contradict each other.

    Args:
        config: has TableSettings, and those of a run.
    """
    from stopcli.data.table_parts import parse_split

    if not config.target:
        raise ConfigError("target", config.target, "the name of the column of the table to predict")
    if config.target in config.features:
        raise ConfigError("features", config.target, "columns to predict from: it is the target")
    for name in ("ignore", "categorical"):
        if config.target in getattr(config, name):
            hint = "--task classes takes its numbers as classes." if name == "categorical" else ""
            raise ConfigError(name, config.target, "columns to predict from: it is the target", hint=hint)
    if both := [name for name in config.features if name in config.ignore]:
        raise ConfigError("ignore", both[0], "columns that are not in features")
    if config.validation == "last":
        raise ConfigError("validation", "last", "auto, split, test or none", hint="--split last takes the last rows.")
    if config.rows == "new" and not config.init_from:
        raise ConfigError(
            "rows", "new", "all, or the run before with --init-from: new are the rows that it has not trained on"
        )
    split = parse_split(config.split) if config.split != "auto" else None
    if split is not None and split.column == config.target and split.kind != "hash":
        raise ConfigError("split", config.split, "another column than the target")
    if split is not None and split.kind == "column":
        for name in ("test_share", "validation_share"):
            if getattr(config, name) is not None:
                raise ConfigError(name, getattr(config, name), f"no share: {split.column} says which rows are which")
