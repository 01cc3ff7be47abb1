import numpy as np
import pytest

from musica.alignment import windows


@pytest.mark.parametrize(
    ("shape", "canvas"),
    [((900, 900), (256, 256)), ((1290, 1936), (192, 256)), ((4000, 100), (256, 160))],
)
def test_a_picture_is_looked_at_with_a_margin(shape, canvas):
    window = windows.whole(*shape, 256)
    assert (window.rows, window.columns) == canvas
    longer = window.pixel * max(canvas)
    assert longer == pytest.approx(1.25 * max(shape))
    for corner, count, side in zip((window.top, window.left), canvas, shape, strict=True):
        margins = [-corner, corner + count * window.pixel - side]
        assert min(margins) >= 0.125 * side - 1 and np.ptp(margins) <= 2


@pytest.mark.parametrize("length", [90, 640, 1001, 4000, 12000])
@pytest.mark.parametrize("side", [200, 1000])
def test_windows_leave_no_small_face_out(length, side):
    starts = [window.left for window in windows.covering(side, length, side, 256)]
    if length <= side:
        assert len(starts) == 1
        return
    assert starts[0] == 0 and starts[-1] + side == length
    # A face of a third of a window is whole in one of two neighbours.
    assert side - max(np.diff(starts)) >= side / 3
