"""MuSiCa: face alignment in real time that knows when to quit.

It finds 68 (or 98) landmarks of a face and estimates their error:

    import musica

    aligner = musica.FaceAligner.load()                # the shipped model, or a path
    face = aligner.align("photo.jpg")                  # or with box=(x0, y0, x1, y1)
    face.landmarks                                     # (68, 2), (y, x) image pixels
    face.error_estimate, face.iterations, face.failed  # how sure it is, what it cost
    face.expected_nme, face.landmark_errors            # what error that stands for, and where
    face.pose.yaw, face.openness.mouth                 # where the head looks, what is open

    faces = aligner.align_batch(images, boxes, stop_threshold=0.05)

Without a box, ``align`` finds the face itself. ``FaceDetector`` finds all faces of a picture. Both
need ``pip install 'musica[detect]'``. A box is (x0, y0, x1, y1) in pixels, corners included, tight
around the landmarks; ``to_landmark_box`` maps the boxes of common detectors to such boxes. An image
is an (H, W, 3) RGB or (H, W) grey uint8 array, or the path of a file. Landmarks are (y, x), counted
from 0; ``face.as_xy()`` swaps the two. Input that cannot be used raises ``InputError``, a
ValueError with a message of one line.

The commands, each ``musica-<name>`` or ``python -m musica.<name>``, with ``--help``. From Python,
``musica.<name>.main(["--key=value"])`` does the same:

    inference           landmarks of photos, of folders, or of a list of images with boxes
    video               follows the faces of video files and cameras
    show_flm_on_image   draws landmarks on images
    train, evaluate, calibrate, compare, attention, benchmark
    convert_checkpoint  reads the models of the 2021 release
    export              writes a model for LiteRT, ONNX, as a SavedModel or a small .keras
    reproduce           the paper's experiments, from the archives to one page

Where to look: ``musica.models`` holds the cascade of the paper and ``musica.layers`` its parts;
``musica.geometry`` and ``musica.preprocessing`` lead from a box to the model's input.

TensorFlow is imported when a model needs it. ``load_model`` reads a saved model, .tflite or .keras.
After ``import musica``, ``keras.models.load_model`` reads a .keras file too, in whichever order the
two are imported.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from musica._registration import register_models

if TYPE_CHECKING:
    from musica.alignment.aligner import FaceAligner
    from musica.alignment.detector import FaceDetector
    from musica.alignment.face import Face
    from musica.errors import InputError
    from musica.geometry.box_conventions import to_landmark_box
    from musica.models.loading import load_model

__version__ = "0.3.0.dev0"
__all__ = [
    "Face",
    "FaceAligner",
    "FaceDetector",
    "InputError",
    "load_model",
    "to_landmark_box",
]

_MODULES = {
    "Face": "alignment.face",
    "FaceAligner": "alignment.aligner",
    "FaceDetector": "alignment.detector",
    "InputError": "errors",
    "load_model": "models.loading",
    "to_landmark_box": "geometry.box_conventions",
}

# menpo says on import that it lacks an extension which nothing here needs.
warnings.filterwarnings("ignore", message="Falling back to scipy interpolation")

register_models()


def __getattr__(name: str) -> Any:
    """Imports the public names on first use (PEP 562)."""
    if name in _MODULES:
        return getattr(import_module(f"musica.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the public names too."""
    return sorted({*globals(), *__all__})
