"""The commands, and the names of their configurations in their modules."""

CONFIGS = {
    "train": "TrainConfig",
    "inference": "InferenceConfig",
    "show_flm_on_image": "ShowConfig",
    "evaluate": "EvaluateConfig",
    "calibrate": "CalibrateConfig",
    "convert_checkpoint": "ConvertConfig",
    "export": "ExportConfig",
    "benchmark": "BenchmarkConfig",
    "compare": "CompareConfig",
    "attention": "AttentionConfig",
    "reproduce": "ReproduceConfig",
    "video": "VideoConfig",
}
