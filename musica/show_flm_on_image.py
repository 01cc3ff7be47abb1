"""Draws landmarks on images: ``python -m musica.show_flm_on_image --config=show.json``.

Every .pts file under ``estimated_dir`` is drawn on the image of the same relative name.
"""

from musica.cli import command
from musica.drawing.folder import ShowConfig, show


def main() -> None:
    """Runs the command."""
    command.run(ShowConfig, show, __doc__)


if __name__ == "__main__":
    main()
