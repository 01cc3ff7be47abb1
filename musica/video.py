"""Follows the faces of videos and cameras: ``python -m musica.video clip.mp4``; 0 is a camera.

Writes, for each, a table with a row for every face in every frame, and a video with the faces
drawn. Needs ``pip install 'musica[video]'``.
"""

from musica.cli import command
from musica.jobs.video import VideoConfig, track_videos


def main() -> None:
    """Runs the command."""
    command.run(VideoConfig, track_videos, __doc__, positional="videos")


if __name__ == "__main__":
    main()
