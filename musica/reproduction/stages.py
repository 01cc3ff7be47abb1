"""A stage is a command with a result; what is done is kept in the output folder."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musica.files import writing


@dataclass(frozen=True)
class Stage:
    """One command of the plan.

    Attributes:
        kind: ``prepare``, ``train`` and so on.
        experiment: the experiment that it belongs to, or "" for a stage of all.
        command: the arguments of Python.
        product: the file or folder that is there when the stage has succeeded.
        after: the names of the stages whose results it reads.
        variant: tells stages of one kind and experiment apart.
        whole: whether the product appears only when the command is done. Then status 1 means that
            faces were left out, and named; otherwise that the stage failed.
    """

    kind: str
    experiment: str
    command: tuple[str, ...]
    product: Path
    after: tuple[str, ...] = ()
    variant: str = ""
    whole: bool = True

    @property
    def name(self) -> str:
        """What the stage is called."""
        return "-".join(filter(None, (self.kind, self.experiment, self.variant)))

    @property
    def text(self) -> str:
        """The command as it is typed."""
        return shlex.join(["python", *self.command])


class Journal:
    """Which stages are done, each with its command, its seconds and its exit status.

    Args:
        folder: of the journal's files, one for each stage.
        root: the folder in which commands run.
    """

    def __init__(self, folder: Path, root: Path):
        self._folder = folder
        self._root = root

    def entry(self, stage: Stage) -> dict | None:
        """What is known of a stage that is done; None if it is still to be done."""
        try:
            found = json.loads(self._path(stage).read_text("utf-8"))
            same = found["command"] == list(stage.command)
            return found if same and stage.product.exists() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def run(self, stage: Stage, later: Sequence[Stage]) -> dict | None:
        """Runs a stage; returns its entry, or None if it failed.

        Args:
            stage: the stage.
            later: the stages that read its result, which count as undone from now on.
        """
        for own in (stage, *later):
            self._path(own).unlink(missing_ok=True)
        print(f"== {stage.name}\n{stage.text}", flush=True)
        began, start = time.time(), time.monotonic()
        places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
        done = subprocess.run([sys.executable, *stage.command], cwd=self._root, env=environment)
        # Clocks of file systems are coarse.
        fresh = stage.product.exists() and stage.product.stat().st_mtime > began - 2
        if done.returncode not in (0, int(stage.whole)) or not fresh:
            return None
        entry = {
            "command": list(stage.command),
            "seconds": round(time.monotonic() - start, 1),
            "status": done.returncode,
        }
        writing.write_text(self._path(stage), json.dumps(entry, indent=2) + "\n")
        return entry

    def _path(self, stage: Stage) -> Path:
        return self._folder / f"{stage.name}.json"
