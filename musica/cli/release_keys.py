"""Keys of the 2021 release's configurations that have no meaning here, and why.

A configuration names its table as ``IGNORED_KEYS``. Its JSON may hold these keys; each gets one
line on stderr. Keys that keep their meaning are fields of the configurations.
"""

from collections.abc import Mapping

# The release's commands shared one set of parameters.
_SHARED = {
    "device": "TensorFlow chooses the device",
    "eval_device": "TensorFlow chooses the device",
    "face_detector": "boxes come from bb_root, or from the detector of musica.FaceDetector",
    "model_dir": "checkpoint_file names the model",
    "num_preprocess_threads": "the number of threads follows the machine",
    "pose_root": "poses of heads are not read",
    "with_pose": "poses of heads are not read",
    "yaw_split": "one model serves all poses",
}

TRAIN: Mapping[str, str] = {
    **_SHARED,
    "is_finetune": "pretrained_model_checkpoint_path alone starts from another model",
    "num_epochs_per_decay": "learning_rate_decay_steps counts steps",
    "optimizer": "the optimizer is Adam",
    "pretrained_model_step": "pretrained_model_checkpoint_path names one file",
    "train_device": "strategy chooses the devices",
    "weighted_loss": "the release's weighted loss calls a function that does not exist",
}

INFERENCE: Mapping[str, str] = {
    **_SHARED,
    "dump_tf_weights": "musica-export writes weights for other runtimes",
    "eval_interval_secs": "the command runs once",
    "gt_path": "musica-evaluate compares with true landmarks (gt_dir)",
    "is_finetune": "it belongs to training",
    "num_examples": "every listed picture is aligned",
    "prev_frame_init": "musica-video follows faces from frame to frame",
    "run_once": "the command runs once",
    "tensorboard_dir": "inference writes nothing for TensorBoard",
    "writeGTlms": "data/ writes true landmarks when it prepares a data set",
    "writeResults": "results are always written, to resDir",
}
