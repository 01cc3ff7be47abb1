"""MuSiCa: the cascade of the paper, as a Keras model."""

from collections.abc import Sequence

import keras
from keras import ops

from musica.errors import InputError
from musica.geometry import crops
from musica.geometry.landmarks import SCHEMES, scheme_for
from musica.layers import CascadeStep


def release_initializer() -> keras.initializers.Initializer:
    """The release's initializer of all kernels: truncated normal, stddev 0.01."""
    return keras.initializers.TruncatedNormal(stddev=0.01)


@keras.saving.register_keras_serializable("musica")
class MuSiCa(keras.Model):
    """Multi-scale cascade with local patch attention that predicts its own error.

    Every iteration k has a pyramid level and weights of its own; the hidden state is all that is
    handed on, besides the landmarks.

    Args:
        landmark_count: N.
        patch_indices: the M landmarks around which patches are cut; the scheme's default if None.
        levels: pyramid level of each iteration, e.g. (2, 1, 0); level l is 1/2^l of the crop.
        patch_size: side of a patch in pixels.
        filters: channels of the patch encoder's convolutions.
        hidden_size: H.
        use_attention: whether patches are weighted by the local attention.
        kernel_initializer: Keras initializer of all kernels; the release's if None.
        patch_dropout: share of the patches that are not seen in training.
        reference_shape: (N, 2) mean face, (y, x) crop pixels from the box's corner, or None. It
            and the following are not used by ``call``; they travel with the model, because
            inference needs them.
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side added on each side.
        stop_threshold: T_s, a face stops when its estimated error is below; one for all iterations,
            or a list of one for each but the last; None never stops.
        fail_threshold: T_f, a face failed when its last estimate is above; None never fails.
        realign_threshold: a face is aligned again, turned upright, when its estimate is above and
            it is found to be rolled; None never (``musica.alignment.realignment``).
        realign_turn: degrees by which such a face is turned for new starts; 0: it has none.
        calibration: for each iteration, a list of estimates and one of the NMEs that are expected
            at them, both ascending (``estimate_quality.calibration_knots``); None: not calibrated.

    Inputs, a dict:
        pyramid: list of (B, H_l, W_l, 3) float32 normalised levels, finest first, at least
            ``max(levels) + 1`` of them.
        initial: (B, N, 2) float32, (y, x) level-0 pixels.

    Outputs, a dict of lists with one entry per iteration:
        landmarks: (B, N, 2) float32, (y, x) level-0 pixels.
        errors: (B,) float32 estimated error, on the scale of ``losses.l1_error``.
        hidden: (B, H) float32 hidden state.

    Example:
        >>> model = MuSiCa(68, patch_indices=[30, 48])
        >>> pyramid = [keras.ops.zeros((1, size, size, 3)) for size in (228, 114, 57)]
        >>> outputs = model({"pyramid": pyramid, "initial": keras.ops.zeros((1, 68, 2))})
        >>> outputs["landmarks"][-1].shape
        TensorShape([1, 68, 2])

    PORT: the release's first return value doubles the displacement once too often; the landmarks
    here are its ``flm_prediction``.

    Reference: ``METHOD.md`` sections 3 and 4; release function ``model_conv3_pyramids``.
    """

    def __init__(
        self,
        landmark_count: int = 68,
        patch_indices: Sequence[int] | None = None,
        levels: Sequence[int] = (2, 1, 0),
        patch_size: int = 14,
        filters: int = 32,
        hidden_size: int = 512,
        use_attention: bool = True,
        kernel_initializer=None,
        patch_dropout: float = 0.0,
        reference_shape=None,
        box_size: int = crops.BOX_SIZE,
        margin: float = crops.MARGIN,
        stop_threshold: float | list[float] | None = None,
        fail_threshold: float | None = None,
        realign_threshold: float | None = None,
        realign_turn: float = 0.0,
        calibration=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # coordinates stay exact
        if patch_indices is None:
            scheme = scheme_for(landmark_count)
            patch_indices = scheme.patch_indices[scheme.default_patch_count]
        self.landmark_count = landmark_count
        self.patch_indices = check_patch_indices(patch_indices, landmark_count)
        self.levels = check_levels(levels)
        self.patch_size = patch_size
        self.filters = filters
        self.hidden_size = hidden_size
        self.use_attention = use_attention
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or release_initializer()
        )
        self.patch_dropout = patch_dropout
        self.reference_shape = check_reference_shape(reference_shape, landmark_count)
        self.box_size = box_size
        self.margin = margin
        self.stop_threshold = stop_threshold
        self.fail_threshold = fail_threshold
        self.realign_threshold = realign_threshold
        self.realign_turn = realign_turn
        self.calibration = check_calibration(calibration, len(self.levels))
        self.steps = [
            CascadeStep(
                landmark_count,
                len(self.patch_indices),
                patch_size,
                filters,
                hidden_size,
                use_attention,
                kernel_initializer=self.kernel_initializer.clone(),
                patch_dropout=patch_dropout,
                name=f"step_{k}",
                dtype=self.dtype_policy,
            )
            for k in range(len(self.levels))
        ]
        self.build()

    @property
    def scheme(self):
        """The landmark scheme, or None where the number of landmarks is a user's own."""
        return SCHEMES.get(self.landmark_count)

    def build(self, input_shape=None):
        """Creates all weights; they depend on the arguments alone."""
        for step in self.steps:
            step.build()
        self.built = True

    def call(self, inputs):
        """Runs all iterations; inputs and outputs as in the class description."""
        initial = ops.convert_to_tensor(inputs["initial"])
        state = self.initial_state(initial)
        outputs: dict[str, list] = {"landmarks": [], "errors": [], "hidden": []}
        for k, level in enumerate(self.levels):
            state, landmarks, error = self.iterate(k, inputs["pyramid"][level], initial, state)
            outputs["landmarks"].append(landmarks)
            outputs["errors"].append(error)
            outputs["hidden"].append(state["hidden"])
        return outputs

    def initial_state(self, initial):
        """State before the first iteration: no displacement, hidden state zero."""
        hidden = ops.zeros((ops.shape(initial)[0], self.hidden_size), initial.dtype)
        return {"displacement": ops.zeros_like(initial), "hidden": hidden}

    def iterate(self, k, image, initial, state):
        """Runs iteration k (``METHOD.md`` section 4).

        Args:
            k: which iteration.
            image: (B, H_l, W_l, 3) float32, the pyramid level ``levels[k]``.
            initial: (B, N, 2) float32, level-0 pixels.
            state: ``displacement`` (B, N, 2) from the initial shape, in pixels of the level
                before, and ``hidden`` (B, H).

        Returns:
            The new state, the landmarks (B, N, 2) in level-0 pixels and the errors (B,).
        """
        level = self.levels[k]
        previous_level = self.levels[k - 1] if k else level
        displacement = state["displacement"] * 2.0 ** (previous_level - level)
        current = initial / 2.0**level + displacement
        centres = ops.take(current, self.patch_indices, axis=1)
        moved, hidden, error = self.steps[k](image, centres, state["hidden"])
        displacement = displacement + moved
        landmarks = initial + displacement * 2.0**level
        return {"displacement": displacement, "hidden": hidden}, landmarks, error

    @property
    def multiply_adds(self) -> list[int]:
        """Multiply-adds for one face after each iteration (``METHOD.md`` section 9)."""
        totals, total = [], 0
        for step in self.steps:
            total += step.multiply_adds
            totals.append(total)
        return totals

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "landmark_count": self.landmark_count,
            "patch_indices": list(self.patch_indices),
            "levels": list(self.levels),
            "patch_size": self.patch_size,
            "filters": self.filters,
            "hidden_size": self.hidden_size,
            "use_attention": self.use_attention,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "patch_dropout": self.patch_dropout,
            "reference_shape": self.reference_shape,
            "box_size": self.box_size,
            "margin": self.margin,
            "stop_threshold": self.stop_threshold,
            "fail_threshold": self.fail_threshold,
            "realign_threshold": self.realign_threshold,
            "realign_turn": self.realign_turn,
            "calibration": self.calibration,
        }


def check_patch_indices(patch_indices: Sequence[int], landmark_count: int) -> tuple[int, ...]:
    """Returns the patch points as a tuple.

    Raises:
        InputError: none, or one that is not a landmark.
    """
    indices = tuple(int(index) for index in patch_indices)
    if not indices or min(indices) < 0 or max(indices) >= landmark_count:
        raise InputError(f"patch_indices must be landmarks from 0 to {landmark_count - 1}")
    return indices


def check_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Returns the pyramid levels as a tuple.

    Raises:
        InputError: none, or a negative one.
    """
    levels = tuple(int(level) for level in levels)
    if not levels or min(levels) < 0:
        raise InputError(f"levels must be pyramid levels, coarse to fine, not {list(levels)}")
    return levels


def check_reference_shape(reference_shape, landmark_count: int) -> list[list[float]] | None:
    """Returns the reference shape as nested lists, which a saved model can hold.

    Raises:
        InputError: not ``landmark_count`` pairs of numbers.
    """
    if reference_shape is None:
        return None
    rows = [[float(value) for value in row] for row in reference_shape]
    if len(rows) != landmark_count or any(len(row) != 2 for row in rows):
        raise InputError(f"the reference shape has {len(rows)} points, the model {landmark_count}")
    return rows


def check_calibration(calibration, iterations: int) -> list[list[list[float]]] | None:
    """Returns the calibration as nested lists, which a saved model can hold.

    Raises:
        InputError: not one pair of estimates and NMEs, both ascending, for each iteration.
    """
    if calibration is None:
        return None
    pairs = [[[float(value) for value in values] for values in pair] for pair in calibration]
    fits = len(pairs) == iterations and all(
        len(pair) == 2 and len(pair[0]) == len(pair[1]) > 0 and pair == [*map(sorted, pair)]
        for pair in pairs
    )
    if not fits:
        raise InputError(f"calibration must be {iterations} pairs of ascending estimates and NMEs")
    return pairs
