"""The plan of a reproduction: from archives to stages."""

from dataclasses import dataclass
from pathlib import Path

from musica.reproduction.archives import LISTS, Available
from musica.reproduction.experiments import SETS, is_mdm
from musica.reproduction.stages import Stage

# What --small changes: sizes with which every stage takes some seconds.
SMALL_TRAINING = ("--max_steps=2", "--checkpoint_steps=2", "--batch_size=4", "--hidden_size=8")
SMALL_TRAINING += ("--initializer=he_normal", "--workers=1")
SMALL_SHARE = 0.3
KINDS = ("stand_in", "prepare", "train", "calibrate", "infer", "evaluate", "savings", "compare")


@dataclass(frozen=True)
class Plan:
    """How a data set is reproduced.

    Attributes:
        set: ``wflw`` or ``300w``.
        source: the folder of the unpacked archives.
        output: the folder of everything that is written.
        available: what the archives are good for.
        experiments: the experiments that are run.
        held_out_share: share of the training faces that choose the thresholds.
        small: whether the stand-in is made and used.
    """

    set: str
    source: Path
    output: Path
    available: Available
    experiments: tuple[str, ...]
    held_out_share: float
    small: bool

    def stages(self) -> list[Stage]:
        """All stages, each after those whose results it reads."""
        stages = self._data()
        if "train" in self.available.parts:
            for experiment in self.experiments:
                stages += self._experiment(experiment)
            if "test" in self.available.parts:
                stages.append(self._comparison())
        return stages

    def model(self, experiment: str) -> Path:
        """The model that is tested: with thresholds, if it has any."""
        folder = self.output / "output" / experiment
        if is_mdm(experiment) or not self.held_out_share:
            return folder / "run/model.keras"
        return folder / "calibrated.keras"

    @property
    def data(self) -> Path:
        """The folder of the prepared data set."""
        return self.output / "data" / self.set

    def _data(self) -> list[Stage]:
        """Makes the stand-in, if it is wanted, and prepares the data set."""
        stages, after = [], ()
        if self.small:
            command = ("data/stand_in.py", f"--set={self.set}", f"--output={self.source}")
            product = self.source / ("bbs" if self.set == "300w" else LISTS)
            stages.append(Stage("stand_in", "", command, product))
            after = ("stand_in",)
        if self.set == "wflw":
            words = [f"--image_dir={self.source / 'WFLW_images'}"]
            words += [f"--annotation_dir={self.source / LISTS}", "--boxes=official"]
        elif "boxes" in self.available.parts:
            words = [f"--source={self.source}", "--boxes=folder"]
            words += [f"--bb_root={self.source / 'bbs'}"]
        else:
            words = [f"--source={self.source}", "--boxes=detector"]
        words += [f"--output={self.data}", "--link"]
        command = (f"data/prepare_{self.set}.py", *words)
        return [*stages, Stage("prepare", "", command, self.data, after)]

    def _experiment(self, name: str) -> list[Stage]:
        """Trains one model, calibrates it, and tests it."""
        results = self.output / "output" / name
        command = [*self._command("train", name, "train"), "--keep_checkpoints=2"]
        command += [f"--held_out_share={self.held_out_share:g}"]
        command += SMALL_TRAINING if self.small else ()
        trained = results / "run/model.keras"
        train = Stage("train", name, tuple(command), trained, ("prepare",))
        stages = [train]
        if self.model(name) != trained:
            command = [*self._calibrate(trained, SETS[self.set].train, results / "calibration")]
            command += [f"--held_out_share={self.held_out_share:g}", f"--output={self.model(name)}"]
            stages.append(Stage("calibrate", name, tuple(command), self.model(name), (train.name,)))
        after = (stages[-1].name,)
        if "test" in self.available.parts:
            stages += self._tests(name, after)
        if "private" in self.available.parts and is_mdm(name):
            stages += self._test(name, after, "private")
        return stages

    def _tests(self, name: str, after: tuple[str, ...]) -> list[Stage]:
        """Tests a model on the public test set, with both normalisers on 300W."""
        stages = self._test(name, after, "")
        if self.set == "300w":
            scores = self.output / "output" / name / "ocular_scores"
            command = [*self._command("evaluate", name, "evaluate"), "--normalization=ocular"]
            command += ["--published=300w_ocular", f"--output_dir={scores}"]
            product = scores / "metrics.json"
            stages.append(
                Stage("evaluate", name, tuple(command), product, (stages[0].name,), "ocular")
            )
        if not is_mdm(name):
            folder = self.output / "output" / name / "savings"
            command = [*self._calibrate(self.model(name), SETS[self.set].test[0], folder)]
            product = folder / "calibration.json"
            stages.append(Stage("savings", name, tuple(command), product, after))
        return stages

    def _test(self, name: str, after: tuple[str, ...], variant: str) -> list[Stage]:
        """Aligns the faces of a test set with all iterations, and measures the errors."""
        suffix = f"_{variant}" if variant else ""
        results = self.output / "output" / name
        command = [*self._command("inference", name, f"inference{suffix}")]
        command += [f"--checkpoint_file={self.model(name)}"]
        command += [f"--get_output_of_iteration={3 if is_mdm(name) else 2}"]
        product = results / (variant or "landmarks") / "predictions.csv"
        infer = Stage("infer", name, tuple(command), product, after, variant, whole=False)
        scores = results / (f"{variant}_scores" if variant else "scores") / "metrics.json"
        command = [*self._command("evaluate", name, f"evaluate{suffix}")]
        return [
            infer,
            Stage("evaluate", name, tuple(command), scores, (infer.name,), variant),
        ]

    def _comparison(self) -> Stage:
        """One table of all models, on the same faces."""
        own = SETS[self.set]
        lists = own.test
        if self.set == "300w":
            missing = {archive.folder for archive in self.available.missing}
            common = not {"helen/testset", "lfpw/testset"} <= missing
            wanted = (True, common, "ibug" not in missing)
            lists = tuple(name for name, kept in zip(own.test, wanted, strict=True) if kept)
        models = ",".join(str(self.model(name)) for name in self.experiments)
        command = ["-m", "musica.compare", f"--models={models}", *self._folders()]
        command += ["--eval_filenames=" + ",".join(map(self._list, lists))]
        product = self.output / "compare.md"
        command += [f"--normalization={own.normalization}", f"--output={product}"]
        after = [
            f"{'train' if is_mdm(name) or not self.held_out_share else 'calibrate'}-{name}"
            for name in self.experiments
        ]
        return Stage("compare", "", tuple(command), product, tuple(after))

    def _command(self, command: str, experiment: str, configuration: str) -> tuple[str, ...]:
        """A command with the copy of an experiment's configuration."""
        path = self.output / "experiments" / experiment / f"{configuration}.json"
        return ("-m", f"musica.{command}", f"--config={path}")

    def _calibrate(self, model: Path, listed: str, folder: Path) -> tuple[str, ...]:
        """Measures on a list what stopping early saves."""
        words = (f"--checkpoint_file={model}", *self._folders())
        words += (f"--eval_filenames={self._list(listed)}", f"--output_dir={folder}")
        return ("-m", "musica.calibrate", *words)

    def _folders(self) -> tuple[str, ...]:
        return (f"--image_dir={self.data / 'images'}", f"--bb_root={self.data / 'bb'}")

    def _list(self, name: str) -> str:
        return str(self.data / "lists" / f"{name}.txt")
