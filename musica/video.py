"""Follows the faces of videos and cameras: ``python -m musica.video clip.mp4``; 0 is a camera.

It writes a table with a row for every face in every frame, and a video with the faces drawn. It
needs ``pip install 'musica[video]'``, which adds the face detector.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.jobs.video import VideoConfig, track_videos


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(VideoConfig, track_videos, __doc__, positional="videos", argv=argv)


if __name__ == "__main__":
    main()
