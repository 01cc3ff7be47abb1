"""The Keras layers of the cascade, one per file."""

from musica.layers.cascade_step import CascadeStep
from musica.layers.patch_attention import PatchAttention
from musica.layers.patch_encoder import PatchEncoder
from musica.layers.patch_extractor import PatchExtractor
from musica.layers.stop_predictor import StopPredictor

__all__ = ["CascadeStep", "PatchAttention", "PatchEncoder", "PatchExtractor", "StopPredictor"]
