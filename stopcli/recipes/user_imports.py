"""Executes texts of Python as modules that find each other by the names that they have beside the user's file.

They are found by the `__import__` that they are executed with, neither by `sys.path` nor by `sys.modules`: so two files
may each have their own `layers.py` in one process, also in threads, and what is executed are the texts that were read
and hashed, whatever has become of the files since.
"""

from __future__ import annotations

import builtins
import linecache
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import CodeType, ModuleType
from typing import Any

from stopcli.source import Source

# Of the names that the modules get: no other module has one that begins like this.
PREFIX = "stopcli_file_"


class LocalModules:
    """The modules of a user's file, each executed when it is imported first.

    Args:
        source: their texts.
    """

    def __init__(self, source: Source) -> None:
        # The same wherever the same code is executed: a saved model has the names of its classes' modules.
        self.name = f"{PREFIX}{source.code_hash[:12]}"
        self._source = source
        self._files = _module_names(source)
        self._modules: dict[str, ModuleType] = {}
        self._lock = threading.RLock()
        self._builtins = {**vars(builtins), "__import__": self._import}

    def main(self) -> ModuleType:
        """The module of the file itself."""
        return self._module("")

    def _module(self, name: str) -> ModuleType:
        """A module by its name beside the file; empty for the file itself."""
        with self._lock:
            if name in self._modules:
                return self._modules[name]
            parent, _, last = name.rpartition(".")
            above = self._module(parent) if name else None
            if name in self._modules:
                # Its package has imported it.
                return self._modules[name]
            module = self._new(name)
            self._modules[name] = module
            # Where Keras, dataclasses and pickle look for the module of a class.
            sys.modules[module.__name__] = module
            try:
                if code := self._code(name):
                    exec(code, vars(module))
            except BaseException:
                del self._modules[name]
                sys.modules.pop(module.__name__, None)
                raise
            # The file's own names are its business.
            if above is not None and parent:
                setattr(above, last, module)
            return module

    def _new(self, name: str) -> ModuleType:
        module = ModuleType(f"{self.name}.{name}" if name else self.name)
        file = self._files[name]
        is_package = not name or file is None or file.name == "__init__.py"
        module.__package__ = module.__name__ if is_package else module.__name__.rpartition(".")[0]
        if is_package:
            module.__path__ = []
        if file is not None:
            module.__file__ = str(self._source.path.parent / file)
        vars(module)["__builtins__"] = self._builtins
        return module

    def _code(self, name: str) -> CodeType | None:
        """What a module consists of; None for a folder without a file of its own."""
        file = self._files[name]
        if file is None:
            return None
        text = self._source.files[str(file)].removeprefix("\ufeff")
        path = str(self._source.path.parent / file)
        # What inspect and tracebacks show is what is executed; without a time, it is not read again from the disk.
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        return compile(text, path, "exec", dont_inherit=True)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """As `__import__`, for an import statement in one of these modules."""
        local = self._local_name(name, globals, level)
        if local is None or (local not in self._files):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self._module(local)
        if not fromlist:
            return self._modules[local.split(".")[0]] if local else module
        for attribute in fromlist:
            inner = f"{local}.{attribute}".lstrip(".")
            if not hasattr(module, attribute) and inner in self._files:
                setattr(module, attribute, self._module(inner))
        return module

    def _local_name(self, name: str, globals: Mapping[str, Any] | None, level: int) -> str | None:
        """What an import statement means by a name, beside the file; None for a module that lies elsewhere."""
        if level:
            package = str((globals or {}).get("__package__") or "")
            if package != self.name and not package.startswith(f"{self.name}."):
                return None
            parts = package.split(".")[1:]
            if level - 1 > len(parts):
                return None
            return ".".join([*parts[: len(parts) - (level - 1)], *([name] if name else [])])
        if name == self.name or name.startswith(f"{self.name}."):
            return name[len(self.name) + 1 :]
        if name.split(".")[0] in self._files:
            return name
        return "" if name == self._source.path.stem else None


def _module_names(source: Source) -> dict[str, PurePosixPath | None]:
    """The files of modules by their names beside the file, None for a package without a file; empty for the file
    itself, which may also be imported by its own name."""
    first, *others = source.files
    names: dict[str, PurePosixPath | None] = {"": PurePosixPath(first)}
    for file in map(PurePosixPath, others):
        parts = file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts
        for count in range(1, len(parts)):
            names.setdefault(".".join(parts[:count]), None)
        names[".".join(parts)] = file
    return names
