"""Converts a checkpoint of the 2021 release, or of MDM, to a Keras model.

    python -m musica.convert_checkpoint --checkpoint_file=model.ckpt-21300 --output=model.keras

The sizes of the model follow from the checkpoint. Patch points do not: they are ``--patch_indices``
or the landmark scheme's.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.formats.checkpoint import ConvertConfig, convert


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(ConvertConfig, convert, __doc__, argv=argv)


if __name__ == "__main__":
    main()
