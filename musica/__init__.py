"""MuSiCa: face alignment in real time that knows when to quit.

    import musica
    aligner = musica.FaceAligner.load()
    face = aligner.align(image, box)
    face.landmarks  # (68, 2), (y, x) image pixels

TensorFlow is imported when a model is first needed.
"""

__version__ = "0.1.0"
