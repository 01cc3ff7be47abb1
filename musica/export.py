"""Saves a trained model for shipping: ``python -m musica.export``.

By the name of the output: ``.keras`` for TensorFlow, ``.tflite`` for LiteRT
(``musica.models.lite_model``), ``.onnx`` for ONNX (``musica.formats.onnx``), a folder for a
TensorFlow SavedModel. Each can quit early: every iteration is called by itself.
"""

from musica.cli import command
from musica.formats.export import ExportConfig, export


def main() -> None:
    """Runs the command."""
    command.run(ExportConfig, export, __doc__)


if __name__ == "__main__":
    main()
