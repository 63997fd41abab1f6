"""What a setting is beside its type, range and default: how the command line offers it, and what it changes.

It stands in the annotation of the setting's field, and everything that asks about settings reads it there: the command
line, the warnings of settings without effect, resuming, comparing.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any, Literal, get_type_hints

# The panels of the help, in their order.
PANELS = (
    *("Arms", "Data", "Training", "Learning rate", "Range", "Augmentation"),
    *("Stopping", "Checkpoints", "Sweep", "Run and output"),
)

# What a setting changes, where that is something else than what is trained:
#   label      nothing: it names the run, or says where its other settings come from.
#   seed       which of several runs of one experiment it is.
#   execution  how a run is computed and what is written beside its results; its numbers at most in the last digits.
#   layout     how the runs of a sweep share machines; may be another one each time that the sweep is resumed.
#   stopping   when training is cut off, and nothing else: can be replayed over what a run has recorded.
#   free       nothing that a resumed run would have to keep.
#   test-rows  which rows test.
#   images     of images alone: points of a plane have nothing of it.
#   start      what training starts from.
#   checkpoints  which models are saved.
#   range      which learning rates train, beside the data.
Role = Literal[
    "label", "seed", "execution", "layout", "stopping", "free", "test-rows", "images", "start", "checkpoints", "range"
]


@dataclasses.dataclass(frozen=True)
class Option:
    """How a setting is offered, and what it changes.

    Attributes:
        help: of its option.
        panel: of the help in which it stands, one of PANELS.
        roles: what it changes, where that is something else than what is trained.
        used_with: another setting without which it has no effect, or another's name and the value it needs.
        metavar: how the help shows the value; empty for the type's name.
        default: how the help shows a default that is None or empty.
        flags: of the option, where they are not made from the name.
        is_path: whether it is a path, which becomes absolute: a run may be resumed in another folder.
    """

    help: str
    panel: str
    roles: tuple[Role, ...] = ()
    used_with: str | tuple[str, str] = ""
    metavar: str = ""
    default: str | bool | None = None
    flags: tuple[str, ...] = ()
    is_path: bool = False


def options_of(config_class: Any) -> Mapping[str, Option]:
    """The options of a config class's settings by name, in the order of its fields.

    Raises:
        TypeError: a setting has none.
    """
    return _options(config_class)


@functools.cache
def _options(config_class: Any) -> Mapping[str, Option]:
    options: dict[str, Option] = {}
    # A subclass that only changes a setting's type or default keeps its option.
    for ancestor in reversed(config_class.__mro__):
        for name, annotation in inspect.get_annotations(ancestor, eval_str=True).items():
            for item in getattr(annotation, "__metadata__", ()):
                if isinstance(item, Option):
                    options[name] = item
    names = [field.name for field in dataclasses.fields(config_class)]
    if missing := [name for name in names if name not in options]:
        raise TypeError(f"{config_class.__name__}: {missing[0]} has no Option in its annotation")
    return {name: options[name] for name in names}


def settings_with(config_class: Any, *roles: Role) -> frozenset[str]:
    """The settings of a config class that have one of some roles."""
    return frozenset(name for name, option in options_of(config_class).items() if {*roles} & {*option.roles})


def setting_type(config_class: Any, name: str) -> Any:
    """The type of a setting, without its ranges and its option; None is a part of it where the setting may be unset."""
    return get_type_hints(config_class)[name]
