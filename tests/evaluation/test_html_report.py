import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from musica.evaluation import html_report, metrics, published, report
from musica.files import image_files

HOSTILE = "</style><script>alert('a & b')</script>\""
FACTS = {"skipped": 0, "metric": "NME", "normalization": "ocular", "normaliser": HOSTILE}


def face():
    """68 points within 100..200, with the outer eye corners 50 px apart."""
    points = np.stack([np.linspace(100, 200, 68), np.linspace(100, 200, 68)], axis=1)
    points[36], points[45] = (120, 120), (120, 170)
    return points


def results(count, image_dir="", names=None, shift=1.0):
    """Faces whose errors grow: face i is off by i + 1 times the shift, in pixels."""
    truth = np.stack([face()] * count)
    estimated = truth + shift * np.arange(1, count + 1)[:, None, None] * [0, 1]
    return metrics.DatasetErrors(
        HOSTILE,
        names or [f"face{index}" for index in range(count)],
        metrics.group_errors(estimated, truth),
        np.full(count, np.nan),
        estimated,
        truth,
        str(image_dir),
    )


@pytest.fixture
def write(tmp_path):
    """Writes the report of the given errors and returns it."""

    def write(errors, plots=()):
        summary = report.summarise(errors, FACTS, [0.08], -1, {})
        table = published.comparison([summary])
        path = tmp_path / "report.html"
        html_report.write(path, [errors], [summary], table, HOSTILE, plots)
        return path.read_text()

    return write


def test_text_is_escaped_and_nothing_runs_or_loads(write):
    page = write(results(2, names=[HOSTILE, "b"]))
    assert "<script" not in page
    assert page.count("</style>") == 1
    assert page.count("&lt;script&gt;alert(&#x27;a &amp; b&#x27;)&lt;/script&gt;&quot;") > 5
    assert "http:" not in page and "https:" not in page
    assert "default-src 'none'" in page


def test_shows_the_worst_and_the_best(write):
    names = [re.findall(r"<br>(\w+)<", part) for part in write(results(20)).split("best</h3>")]
    assert names[0] == [f"face{index}" for index in range(19, 11, -1)]
    assert names[1] == [f"face{index}" for index in range(8)]


def test_shows_no_face_twice(write):
    worst, best = write(results(3)).split("best</h3>")
    assert re.findall(r"<br>(\w+)<", worst) == ["face2", "face1"]
    assert re.findall(r"<br>(\w+)<", best) == ["face0"]


def test_captions_give_error_and_estimate(write):
    errors = results(2)
    errors.estimates[0] = 0.25
    page = write(errors)
    assert "<b>2.00%</b>, estimated 0.2500<br>face0" in page
    assert "<b>4.00%</b><br>face1" in page


def embedded(page):
    """The JPEG pictures of a page: x, y, width, height in the image, and the picture."""
    pattern = r'<image x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)".*?base64,([^"]+)"'
    for *window, content in re.findall(pattern, page):
        yield list(map(int, window)), Image.open(io.BytesIO(base64.b64decode(content)))


def test_pictures_are_embedded_crops(write, tmp_path):
    pixels = np.zeros((400, 180, 3), np.uint8)
    pixels[:90] = 255  # above the crop
    image_files.write_image(tmp_path / "images/face0.png", Image.fromarray(pixels))
    (window, picture), *others = embedded(write(results(1, tmp_path / "images")))
    # The centre is 150, 150; the estimate reaches to 201, and 15 % are added.
    assert window == [91, 91, 180 - 91, 209 - 91] and not others
    assert picture.size == (89, 118)
    assert np.asarray(picture).max() == 0


def test_landmarks_are_drawn_at_the_centres_of_their_pixels(write, tmp_path):
    image_files.write_image(tmp_path / "images/face0.png", Image.new("RGB", (300, 300)))
    page = write(results(1, tmp_path / "images"))
    truth, estimate = re.findall(r'<g class="\w+"><path d="M([\d.]+ [\d.]+)L', page)
    assert (truth, estimate) == ("100.50 100.50", "101.50 100.50")


def test_a_wild_estimate_does_not_shrink_the_face(write, tmp_path):
    image_files.write_image(tmp_path / "images/face0.png", Image.new("RGB", (900, 900)))
    page = write(results(1, tmp_path / "images", shift=1e12))
    assert 'viewBox="0.0 0.0 300.0 300.0"' in page  # three times the face's 100 pixels


def test_a_picture_that_cannot_be_read_is_named(write, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/face0.png").write_text("no image")
    page = write(results(2, tmp_path / "images"))
    assert page.count("<svg") == 2 and "<image" not in page
    errors = capsys.readouterr().err.splitlines()
    assert [line.startswith("no picture: ") for line in errors] == [True, True]
    assert "<svg" not in write(results(2))


def test_plots_are_embedded(write, tmp_path):
    path = tmp_path / "plot.png"
    image_files.write_image(path, Image.new("RGB", (2, 2)))
    content = base64.b64encode(path.read_bytes()).decode()
    assert f'<img alt="plot" src="data:image/png;base64,{content}">' in write(results(1), [path])
