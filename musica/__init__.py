"""MuSiCa: face alignment in real time that knows when to quit.

    import musica
    aligner = musica.FaceAligner.load()
    face = aligner.align(image, box)
    face.landmarks  # (68, 2), (y, x) image pixels

TensorFlow is imported when a model is first needed. ``keras.models.load_model`` reads a saved model
after ``import musica``, whichever of the two is imported first.
"""

from musica._registration import register_models

__version__ = "0.1.0"
__all__ = ["Face", "FaceAligner"]

register_models()


def __getattr__(name: str):
    """Imports the public classes on first use (PEP 562)."""
    if name in __all__:
        from musica import aligner

        return getattr(aligner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the public classes too."""
    return sorted([*globals(), *__all__])
