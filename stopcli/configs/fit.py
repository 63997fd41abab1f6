"""The settings of `stopcli fit`: a Python file's model and data, its own settings, and the arms that they make; or a
table."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from stopcli.configs.auto_seeds import AutoSeedsConfig
from stopcli.configs.base import Option, Seed, Share, settings_with
from stopcli.configs.file_settings import Table, arm_names, check_names, label_of
from stopcli.configs.images import Threads
from stopcli.configs.table import TableSettings, check_table
from stopcli.configs.training import SweepSettings
from stopcli.configs.user_code import AUTO, FILLED, CodeTrainingConfig, CodeValidation, Completion
from stopcli.errors import ConfigError
from stopcli.runs.headline import ACCURACY, LOSS
from stopcli.source import Value

_OF_CODE = ("code_sha256", "code_hash")
_OPTIONS = {"settings": "set"}
# More runs than anybody looks at, one by one.
_MOST_ARMS = 1000


@dataclass(frozen=True, kw_only=True)
class FitConfig(CodeTrainingConfig, AutoSeedsConfig, TableSettings, SweepSettings):
    """Training the model that a Python file builds, on the rows that it returns or on those of a table; how it is
    computed is filled in too."""

    command: ClassVar[str] = "fit"
    help: ClassVar[str] = (
        "FILE.py has two functions: `data()` returns (x, y), `build(x, y)` a compiled Keras model. Their keyword-only "
        "arguments with a default, as `units` of `def build(x, y, *, units=64)`, are settings: `--set units=32` "
        "chooses a value, `--vary units=32,64` compares several. With a table, `--target` names the column to predict "
        "from the others, and `build` is needed for another network than a perceptron."
    )
    default_to_full: ClassVar[bool] = True
    extra_options: ClassVar[frozenset[str]] = frozenset({"dry_run"})
    not_offered: ClassVar[frozenset[str]] = frozenset({"scale", "arm_name"}) | FILLED
    not_repeated: ClassVar[frozenset[str]] = CodeTrainingConfig.not_repeated | {"arm_name"}

    file: Annotated[
        str,
        Option(
            "A Python file with the functions `data` and `build`; with a table `build` is enough.",
            "Data",
            metavar="FILE.py",
            is_path=True,
            argument=1,
        ),
    ] = ""
    vary: Annotated[
        Mapping[str, tuple[Value, ...]],
        Option(
            "Settings of the file with several values each, a list: units=32,64 activation=relu,prelu. Each "
            "combination is an arm of a sweep; the first is what the others are compared with.",
            "Arms",
            metavar="NAME=VALUE,VALUE,… …",
            default="none",
            common=True,
        ),
    ] = Table()
    validation: Annotated[
        CodeValidation,
        Option(
            "Rows used for validation. auto: those that `data()` returns as validation, else split: a share of the "
            "rows that do not test; last: the same, the last of them; test: the test rows; none.",
            "Data",
            common=True,
        ),
    ] = "auto"  # type: ignore[assignment]
    validation_share: Annotated[
        Share | None,
        Option("The share of the rows that is set aside for validation, in (0, 1).", "Data", default="0.2"),
    ] = None
    data_seed: Annotated[Seed, Option("Seed of which rows are set aside, ≥ 0.", "Data", ("test-rows",))] = 0
    monitor: str = AUTO
    checkpoint_monitor: str = AUTO
    loop: Annotated[
        Literal["auto", "epochs", "steps"],
        Option(
            "What a call of the compiled loop trains: many epochs, or steps of one; auto: measured at the start.",
            "Training",
            ("execution",),
        ),
    ] = "auto"
    threads: Threads = None
    refit: Annotated[
        bool,
        Option(
            "After stopping has chosen, train a fresh model on the rows that validate too, for as many updates as the "
            "saved one had; it is measured on the same test rows, and saved as refit.keras.",
            "Checkpoints",
            ("checkpoints",),
        ),
    ] = False
    arm_name: Annotated[str, Option("The arm of a sweep that the run is of.", "Arms", ("label", "free"))] = ""

    def __post_init__(self) -> None:
        CodeTrainingConfig.__post_init__(self)
        TableSettings.__post_init__(self)
        object.__setattr__(self, "vary", Table({name: tuple(values) for name, values in self.vary.items()}))
        if self.file:
            # A run may be resumed in another folder.
            object.__setattr__(self, "file", os.path.abspath(self.file))  # noqa: PTH100

    @property
    def is_code(self) -> bool:
        return True

    @property
    def data_setting(self) -> str:
        return "table" if self.table else super().data_setting

    @property
    def data_name(self) -> str:
        return Path(self.table).name if self.table else super().data_name

    @property
    def without_meaning(self) -> frozenset[str]:
        if not self.table:
            return super().without_meaning | settings_with(type(self), "table")
        of_model = settings_with(type(self), "network") if self.file else {"file", "settings", "vary", *_OF_CODE}
        return super().without_meaning | of_model

    @property
    def short_epochs(self) -> bool:
        return self.loop == "epochs"

    @property
    def measured_settings(self) -> tuple[str, ...]:
        return ("loop", "xla")

    @property
    def layout_is_open(self) -> bool:
        return self.loop == AUTO

    @classmethod
    def saved_by(cls, settings: Mapping[str, Any]) -> str:
        metric = super().saved_by(settings)
        # Of the few rows of a table that validate, many epochs have the same accuracy, and the first of them counts.
        of_own_network = settings.get("table") and not settings.get("file")
        return LOSS.name if of_own_network and metric == ACCURACY.name else metric

    @property
    def is_sweep(self) -> bool:
        return bool(self.vary) or super().is_sweep

    @property
    def arm(self) -> str:
        return self.arm_name or self.rules

    def arms(self) -> Mapping[str, FitConfig]:
        """Every combination of the values in `vary`, the last name's changing fastest."""
        if not self.vary:
            return {self.arm: self}
        return {
            name: replace(self, settings={**self.settings, **choice}, vary={}, arm_name=name)
            for name, choice in arm_names(self.vary).items()
        }

    def with_all_settings(self, complete: Completion) -> FitConfig:
        """Those with several values too."""
        vary = {
            name: tuple(complete({**self.settings, name: value})[name] for value in values)
            for name, values in self.vary.items()
        }
        settings = {name: value for name, value in complete(self.settings).items() if name not in vary}
        return replace(self, settings=settings, vary=vary)

    def with_loop(self, loop: Literal["epochs", "steps"], xla: Literal["yes", "no"], *, exact: bool) -> FitConfig:
        return replace(super().with_loop(loop, xla, exact=exact), loop=loop)

    def arm_label(self, arm: str) -> str:
        choice = arm_names(self.vary).get(arm, {}) if self.vary else {}
        return ", ".join(label_of(name, value) for name, value in choice.items()) or super().arm_label(arm)

    def check(self) -> None:
        if self.scale == "quick":
            raise ConfigError("scale", self.scale, "full: a file's own settings say how large it is")
        self._check_origin()
        check_names(self.settings, self.vary)
        arms = math.prod(map(len, self.vary.values()))
        if arms > _MOST_ARMS:
            raise ConfigError("vary", arms, f"at most {_MOST_ARMS:,} combinations of its values")
        if self.refit:
            self._check_refit()
        super().check()

    def _check_origin(self) -> None:
        """Raise ConfigError where settings are of a file or of a table that is not there."""
        if self.table:
            check_table(self)
            unread = ("settings", "vary") if not self.file else settings_with(type(self), "network")
            without = "a Python file" if not self.file else "--set of what build takes: the model is that of the file"
            for name in self.non_default(*unread):
                raise ConfigError(_OPTIONS.get(name, name), getattr(self, name), f"nothing without {without}")
            return
        if not self.file:
            expected = "the path of a Python file with the functions data and build, or a table"
            raise ConfigError("file", self.file, expected)
        for name in self.non_default(*settings_with(type(self), "table")):
            expected = "nothing without a table: the rows are those that data() of the file returns"
            raise ConfigError(name, getattr(self, name), expected)

    def _check_refit(self) -> None:
        """Raise ConfigError where there is nothing that a refit could add, or no number of updates for it."""
        if not self.checkpoint:
            expected = "no refit with --no-checkpoint: it is trained as long as the saved model, and none is saved"
            raise ConfigError("refit", self.refit, expected)
        if self.validation in ("test", "none"):
            who = "the test rows validate" if self.validation == "test" else "no rows validate"
            expected = f"no refit where {who}: it would have no rows that the run has not trained on"
            raise ConfigError("refit", self.refit, expected, hint="--validation split sets rows aside.")
