"""Lets ``keras.models.load_model`` read a saved model once ``musica`` is imported.

Keras finds a class by the name under which the class was registered. ``MuSiCa`` and ``MDM``
register themselves when their modules are imported. Those modules need TensorFlow, which
``import musica`` must not load. Until then stand-ins are registered under the same names; a
stand-in imports the class when a model is read.

Keras may be imported after ``musica``. Python has one way to act at that moment: an import hook.
This hook waits for Keras alone and removes itself.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODULES = {"MuSiCa": "musica.models.musica", "MDM": "musica.models.mdm"}


def register_models() -> None:
    """Registers the stand-ins with Keras, now or right after Keras is imported."""
    if "keras" in sys.modules:
        _register_stand_ins()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register_stand_ins() -> None:
    registered = importlib.import_module("keras").saving.get_custom_objects()
    for name, module in _MODULES.items():
        registered[f"musica>{name}"] = _StandIn(name, module)


class _StandIn:
    """Stands for a model's class until a model is read."""

    def __init__(self, name: str, module: str) -> None:
        self._name, self._module = name, module

    def from_config(self, config: dict[str, Any]) -> Any:
        """Imports the class and builds the model, as Keras asks of a class."""
        return getattr(importlib.import_module(self._module), self._name).from_config(config)


class _AfterKeras(MetaPathFinder):
    """Registers the stand-ins right after Keras has been executed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Finds Keras where Python would, and adds a last step to its execution."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "keras" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            # Not earlier: TensorFlow looks for Keras without importing it.
            sys.meta_path.remove(self)
            _register_stand_ins()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
