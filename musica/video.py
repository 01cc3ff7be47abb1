"""Follows the faces of videos and cameras: ``python -m musica.video clip.mp4``; 0 is a camera.

Writes, for each, a table with a row for every face in every frame, and a video with the faces
drawn. Needs ``pip install 'musica[video]'``.
"""

from collections.abc import Sequence

from musica.cli import command
from musica.jobs.video import VideoConfig, track_videos


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(VideoConfig, track_videos, __doc__, positional="videos", argv=argv)


if __name__ == "__main__":
    main()
