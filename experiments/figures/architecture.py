"""The picture of the method: from an image and a box to landmarks, or to a failure."""

import numpy as np
from canvas import BLUE, DIM, GREEN, GREY, ORANGE, PURPLE, RED, Canvas, Rectangle
from faces import mean_face_68
from matplotlib.figure import Figure

from musica.geometry.crops import BOX_SIZE, MARGIN

SIZE = (900, 722)


def draw_architecture() -> Figure:
    """Draws the method; its numbers are the defaults of ``musica.models.musica.MuSiCa``."""
    canvas = Canvas(SIZE)
    face = _Example()
    _input(canvas, face)
    _iteration(canvas)
    _quitting(canvas, face)
    return canvas.figure


class _Example:
    """A face in pixels of its crop: the mean face, turned."""

    def __init__(self) -> None:
        mean = mean_face_68()
        angle = np.deg2rad(12)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turned = (mean - mean.mean(axis=0)) * [1.08, 0.9] @ turn
        turned -= turned.min(axis=0)
        turned *= BOX_SIZE / turned.max()
        sides = turned.max(axis=0)
        self.crop_size = sides * (1 + 2 * MARGIN)
        self.truth = turned + MARGIN * sides
        self.initial = mean + MARGIN * sides
        self.box = np.array([MARGIN * sides, (1 + MARGIN) * sides])

    def estimate(self, share: float) -> np.ndarray:
        """Landmarks that went a share of the way from the initial shape to the truth."""
        return self.initial + share * (self.truth - self.initial)


def _input(canvas: Canvas, face: _Example) -> None:
    """Image and box, crop, pyramid."""
    canvas.panel((14, 14, 872, 196), "Input")
    height, width = face.crop_size
    scale = 64 / height
    image, x, y = Rectangle(34, 50, 150, 112), 76, 70
    canvas.rectangle(image, GREY)
    canvas.face(face.truth, x, y, scale)
    (y0, x0), (y1, x1) = face.box * scale
    canvas.rectangle(Rectangle(x + x0, y + y0, x1 - x0, y1 - y0), GREEN, fill=False)
    canvas.text(image.middle, 180, "image and face box")

    canvas.arrow((192, 106), (292, 106))
    canvas.text(240, 76, f"box: {BOX_SIZE} pixels")
    canvas.text(240, 91, f"margin: {MARGIN:.0%}")
    scale = 122 / height
    crop = Rectangle(300, 44, width * scale, 122)
    canvas.rectangle(crop, GREY)
    canvas.face(face.truth, crop.x, crop.y, scale)
    canvas.dots(face.initial, crop.x, crop.y, scale)
    canvas.text(crop.middle, 180, "normalised crop and")
    canvas.text(crop.middle, 195, "initial shape (mean face)", colour=ORANGE)

    canvas.arrow((crop.right + 8, 106), (crop.right + 82, 106), "pyramid")
    left = crop.right + 106
    for k, side in enumerate((45, 74, 122)):
        part = Rectangle(left, 166 - side, width / height * side, side)
        canvas.rectangle(part, GREY)
        canvas.face(face.truth, part.x, part.y, side / height)
        canvas.text(part.middle, 180, f"level {2 - k} ({('1/4', '1/2', '1/1')[k]})")
        canvas.text(part.middle, 195, f"for $k = {k}$", colour=DIM)
        left = part.right + 58


def _iteration(canvas: Canvas) -> None:
    """The layers of one iteration."""
    canvas.panel((14, 222, 872, 226), "Iteration $k$, with weights of its own")
    for shift in (16, 8, 0):
        canvas.rectangle(Rectangle(36 + shift, 302 - shift, 52, 52), GREY)
    canvas.text(70, 370, "$M$ patches")
    canvas.text(70, 385, "at $M$ landmarks")
    canvas.text(70, 402, _size(14, 14, 3), colour=DIM)
    canvas.arrow((110, 322), (134, 322))
    _encoder(canvas, Rectangle(138, 262, 162, 140))
    canvas.arrow((304, 322), (348, 322), "256")
    attention = canvas.layer(Rectangle(352, 262, 132, 140), ORANGE, "patch attention")
    canvas.text(attention.middle, 322, "$f' = \\sigma(\\mathrm{Dense}(f)) \\odot f$")
    canvas.text(attention.middle, 356, "a weight for each")
    canvas.text(attention.middle, 371, "feature of a patch")
    canvas.brace((138, 484), 408, "the same for every patch")
    canvas.arrow((488, 322), (540, 322), _size("$M$", 256))

    state = canvas.layer(Rectangle(544, 262, 132, 140), PURPLE, "recurrent state")
    canvas.text(state.middle, 308, "$h_k = \\tanh(\\mathrm{Dense}(\\cdot))$")
    canvas.text(state.middle, 336, "of all patches")
    canvas.text(state.middle, 351, "and $h_{k-1}$")
    canvas.text(state.middle, 384, "512 units", colour=DIM)
    canvas.arrow((state.middle, 234), (state.middle, 259), colour=PURPLE)
    canvas.text(state.middle + 10, 243, "$h_{k-1}$", align="left")
    canvas.arrow((state.middle, 405), (state.middle, 434), colour=PURPLE)
    canvas.text(state.middle + 10, 422, "$h_k$", align="left")

    for y, colour, name, size in (
        (270, GREEN, "displacement", "2 $N$ numbers"),
        (342, RED, "error estimate $E_k$", "1 number"),
    ):
        head = Rectangle(722, y, 148, 52)
        canvas.rectangle(head, colour)
        canvas.text(head.middle, y + 18, name, bold=True)
        canvas.text(head.middle, y + 36, size, colour=DIM)
        canvas.arrow((680, y + 26), (718, y + 26))


def _encoder(canvas: Canvas, place: Rectangle) -> None:
    """The layers of the patch encoder and the sizes of their outputs."""
    canvas.layer(place, BLUE, "patch encoder")
    rows = (
        (f"conv {_size(3, 3)}", _size(12, 12, 32)),
        ("max pool", _size(6, 6, 32)),
        (f"conv {_size(3, 3)}", _size(4, 4, 32)),
        ("its max pool", _size(2, 2, 32)),
        ("and its centre", _size(2, 2, 32)),
    )
    for index, (layer, size) in enumerate(rows):
        y = place.y + 38 + index * 18 + (7 if index > 2 else 0)
        canvas.text(place.x + 10, y, layer, align="left")
        canvas.text(place.right - 10, y, size, align="right", colour=DIM)


def _size(*numbers: int | str) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, numbers))


def _quitting(canvas: Canvas, face: _Example) -> None:
    """The iterations, and the question after each."""
    canvas.panel((14, 460, 872, 248), "Knowing when to quit")
    note = "the landmarks and $h_k$ go on to the next, finer level"
    canvas.text(222, 477, note, align="left", colour=DIM)
    height, width = face.crop_size
    scale = 100 / height
    for k, share in enumerate((0.55, 0.85, 1.0)):
        step = Rectangle(34 + 257 * k, 496, 112, 138)
        canvas.rectangle(step, BLUE)
        left = step.middle - width * scale / 2
        canvas.face(face.truth, left, 499, scale)
        canvas.dots(face.estimate(share), left, 499, scale)
        canvas.text(step.middle, 605, f"iteration $k = {k}$", bold=True)
        canvas.text(step.middle, 621, f"level {2 - k}", colour=DIM)
        x, y, last = step.right + 70, 560, k == 2
        canvas.arrow((step.right + 4, y), (x - 48, y))
        canvas.diamond((x, y), (45, 34), f"$E_{k} > T_f$?" if last else f"$E_{k} < T_s$?")
        canvas.arrow((x, y + 37), (x, 656), colour=GREEN)
        canvas.text(x + 8, 622, "no" if last else "yes", align="left")
        canvas.arrow((x + 48, y), (x + 72, y), colour=RED if last else GREY)
        canvas.text(x + 58, y - 12, "yes" if last else "no")
    canvas.rectangle(Rectangle(806, 538, 66, 44), RED)
    canvas.text(839, 553, "failed", bold=True)
    canvas.text(839, 569, "is flagged", colour=DIM)
    canvas.rectangle(Rectangle(34, 660, 838, 34), GREEN)
    canvas.text(453, 677, "landmarks and their error estimate", bold=True)
