"""Saves a trained model for shipping: ``python -m musica.export``.

By the name of the output: ``.keras`` for TensorFlow, ``.tflite`` for LiteRT
(``musica.models.lite_model``), ``.onnx`` for ONNX (``musica.formats.onnx``), a folder for a
TensorFlow SavedModel. Each can quit early: every iteration is called by itself.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.formats.export import ExportConfig, export


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(ExportConfig, export, __doc__, argv=argv)


if __name__ == "__main__":
    main()
