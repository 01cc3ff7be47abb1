"""Draws landmarks on images: ``python -m musica.show_flm_on_image --config=show.json``.

Every .pts file under ``estimated_dir`` is drawn on the image of the same relative name.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.drawing.folder import ShowConfig, show


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(ShowConfig, show, __doc__, argv=argv)


if __name__ == "__main__":
    main()
