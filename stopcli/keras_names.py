"""So that `import stopcli` is enough for `keras.saving.load_model` to read a model with stopcli's layers and schedules.

Keras finds the class of a saved object by the name under which the class is registered, and a class is registered when
its module is imported. These modules import Keras and TensorFlow, which takes seconds that `import stopcli` is not to
cost. So their names are registered as soon as anyone imports Keras, and a module is imported when its name is used.
"""

from __future__ import annotations

import importlib
import sys

# As typing has it, whose import would be most of what `import stopcli` costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class ImportPlaceholder:
    """Stands for a class in Keras's registry until its module is imported, by which the class takes its place."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def from_config(self, config: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(self._module), self._name).from_config(config)


class KerasFinder:
    """Finds Keras where the other finders do, and once it is imported registers the classes of some modules, by their
    names."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        # Those before it have found nothing.
        behind = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(name, path, target) for finder in behind if hasattr(finder, "find_spec"))
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(self._modules)

        # The loader belongs to this spec, and still serves Keras's files.
        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register_with_keras(modules: Mapping[str, str]) -> None:
    """Register the classes of some modules: now, where Keras is imported already, else as soon as it is."""
    if "keras" in sys.modules:
        _register(modules)
    else:
        sys.meta_path.insert(0, KerasFinder(modules))


def _register(modules: Mapping[str, str]) -> None:
    import keras

    registered = keras.saving.get_custom_objects()
    for name, module in modules.items():
        registered.setdefault(f"stopcli>{name}", ImportPlaceholder(module, name))
