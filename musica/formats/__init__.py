"""Other formats of models: checkpoints of the release, LiteRT, ONNX, SavedModel."""
