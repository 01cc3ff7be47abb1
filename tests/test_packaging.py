"""What the source distribution holds."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements.txt",
    "setup.py",
)
FOLDERS = ("musica", "tests", "data", "experiments", ".github")
# As training, the example and tests leave behind.
LEFT_BEHIND = (
    "data/example/takeo.png",
    "experiments/figures/__pycache__/draw.cpython-311.pyc",
    "musica/__pycache__/model.cpython-311.pyc",
    "output/takeo.png",
    "runs/model.keras",
    "tests/__pycache__/test_model.cpython-311.pyc",
)


def sources():
    """Relative paths of what belongs to the project."""
    yield from map(Path, FILES)
    for folder in FOLDERS:
        pattern = "*" if folder == "data" else "**/*"
        for path in (ROOT / folder).glob(pattern):
            if path.is_file() and path.parent.name != "__pycache__":
                yield path.relative_to(ROOT)


@pytest.fixture
def project(tmp_path):
    """A copy of the project, without its models' content."""
    for path in sources():
        copy = tmp_path / "project" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".keras", ".tflite"):
            copy.touch()
        else:
            shutil.copy(ROOT / path, copy)
    return tmp_path / "project"


def test_source_distribution_is_whole_and_holds_nothing_else(project, tmp_path):
    pytest.importorskip("setuptools")
    for name in LEFT_BEHIND:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    command = [sys.executable, "setup.py", "--quiet", "sdist", "--formats=tar", f"-d{tmp_path}"]
    subprocess.run(command, cwd=project, check=True, timeout=60)

    (archive,) = tmp_path.glob("*.tar")
    with tarfile.open(archive) as opened:
        names = {Path(*Path(member.name).parts[1:]) for member in opened if member.isfile()}
    made = {name for name in names if "musica.egg-info" in name.parts}
    assert names - made - {Path("PKG-INFO"), Path("setup.cfg")} == set(sources())
