"""Lets ``keras.models.load_model`` read a saved model once ``musica`` is imported.

Keras finds a class by the name under which it was registered, so ``musica.models.musica`` and
``musica.models.mdm``, whose classes register themselves, must be imported before a model is read.
They need Keras and TensorFlow, which ``import musica`` must not pull in. Therefore they are
imported when Keras is: at once if it already was, otherwise right after it.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODEL_MODULES = ("musica.models.musica", "musica.models.mdm")
# Where one of our own modules is what imports Keras, the model modules may need the whole of it;
# they then have to wait until it is complete, not only until Keras is.
_TRIGGERS = ("keras", "musica.layers", *_MODEL_MODULES)


def register_models() -> None:
    """Registers the models with Keras, now or right after Keras is imported."""
    if "keras" in sys.modules:
        _import_models()
    else:
        sys.meta_path.insert(0, _AfterTrigger())


def _import_models() -> None:
    for name in _MODEL_MODULES:
        importlib.import_module(name)


class _AfterTrigger(MetaPathFinder):
    """Imports the model modules right after the first trigger has been executed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Finds a trigger where Python would, and adds a last line to its execution."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _TRIGGERS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_import_models(module: ModuleType) -> None:
            # Not before: TensorFlow looks for Keras without importing it.
            sys.meta_path.remove(self)
            execute(module)
            _import_models()

        spec.loader.exec_module = execute_and_import_models  # type: ignore[method-assign]
        return spec
