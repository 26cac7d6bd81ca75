"""A grid of runs: which results are missing, and how one is made.

A run leaves one file in results/, which holds the command that makes it again. A run that was cut
off resumes from its last epoch, so a grid can be stopped and started at will.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.agreement import check_plan, check_precision
from experiments.limits import TimeUp, fits, with_threads
from experiments.measurements import GUESS, KEYS, measured, say_measured
from experiments.plans import Plan, Plans
from experiments.speed import meter
from partlib import checkpoints, data, environment, models, runs
from partlib.training import OnEpoch, Row


@dataclass(frozen=True, kw_only=True)
class Grid(Plans):
    """Runs of one recipe.

    Attributes:
        module: the module of `experiments` that makes them, for their commands.
        threads: threads of a run on a CPU, where this grid then runs even if there is a GPU;
            another number gives other bits. None is a grid for a GPU.
        verify: whether the data set must be the published one, see `data.load`.
        cams: the class activation maps that are held against the true masks, where there are any.
    """

    module: str
    threads: int | None = 1
    verify: bool = True
    cams: Sequence[str] = ()

    @property
    def device(self) -> torch.device:
        """Where the runs are made: those for a CPU have no place for seeds made on a GPU."""
        return torch.device("cpu") if self.threads else runs.best_device()

    def wanted(self, what: Plan) -> list[tuple[str, str]]:
        """What a plan measures: the kind, as `evaluation.evaluate` calls it, and the name."""
        return [
            *(("attacks", name) for name in what.attacks),
            *(("corruptions", name) for name in what.corruptions),
            *(("cams", name) for name in self.cams),
            *([("diagnose", "")] if what.diagnose else ()),
        ]

    def missing(self, label: str, what: Plan, seed: int) -> list[tuple[str, str]]:
        """What the result of a run does not have yet."""
        record = self.record(label, seed)
        found = json.loads(record.read_text()) if record.exists() else {"metrics": {}}
        done = found["metrics"].keys() | found.keys()
        return [
            (kind, name) for kind, name in self.wanted(what) if KEYS[kind].format(name) not in done
        ]

    def measure(
        self,
        label: str,
        what: Plan,
        seed: int,
        *,
        until: float = math.inf,
        threads: int | None = None,
        beside: int = 1,
        only: str | None = None,
    ) -> None:
        """Train one run, or load it, and measure what its result does not have.

        A run that has a result but no weights, as on a new machine, is trained again; if that ends
        in the result's weights, the result says so, as "repeated".

        Args:
            label: of the run.
            what: its plan.
            seed: its seed.
            until: when to stop, in seconds since the epoch; what would not fit is left out.
            threads: instead of the grid's; None trains a run that has a result with the result's.
            beside: how many runs are made at once, which a new result says, as it takes longer.
            only: the one kind, a key of `KEYS`, that is measured; None is all.

        Raises:
            TimeUp: the time `until` has come, or is too near; all that was done is kept.
            ValueError: the weights are not those of the result, as on another kind of processor,
                or the result is of another plan, or the grid's are of another precision.
            ImportError: a package for a measurement is missing; the others were made first.
        """
        record, folder = self.record(label, seed), self.runs / f"{label}-seed{seed}"
        with with_threads(threads or self.threads):  # now, before anyone changes the code
            made_by = environment.describe(self.device)
        by = {"command": self._command(label, seed, threads), **made_by}
        chosen, method = what.recipe.with_config(seed=seed), what.method(seed)
        # Weights are written before the run's own result, and without any they are of no use.
        known, weights = record.exists(), folder / "weights.safetensors"
        checkpoints.sweep(record)
        for made in (record, folder / "result.json"):  # the second becomes the first, if it is gone
            if made.exists():
                check_plan(made, chosen, method)
        if not (weights.exists() and (known or (folder / "result.json").exists())):
            check_precision(self.results, chosen, self.device)
            training = self._threads(record, threads)
            with with_threads(training):
                runs.run(
                    chosen,
                    method,
                    folder=folder,
                    label=label,
                    command=self._command(label, seed, training),
                    device=self.device,
                    n_train=what.n_train,
                    n_val=what.n_val,
                    verify=self.verify,
                    on_epoch=self._watch(label, what, seed, until),
                )
        if not record.exists():
            made = json.loads((folder / "result.json").read_text())
            checkpoints.write_json(record, made | ({"side_by_side": beside} if beside > 1 else {}))
        found = json.loads(record.read_text())
        model = models.build(chosen.network, found["num_classes"], seed=0)
        checkpoints.load_weights(model, weights)
        if checkpoints.weights_sha256(model) != found["weights_sha256"]:
            raise ValueError(f"folder: the weights in {folder} are not those of {record}")
        if again := self._repeated(found, folder / "result.json"):
            found["repeated"] = again
            checkpoints.write_json(record, found)
        model.to(self.device)
        test_set = data.load(chosen.data, "test", verify=self.verify)
        left_out = []
        absent: ImportError | None = None
        for kind, name in self.missing(label, what, seed):
            if only not in (None, kind):
                continue
            key = KEYS[kind].format(name)
            if not fits(until, self._takes(key, found["device"])):
                left_out.append(key)
                continue
            start = time.perf_counter()
            try:
                with with_threads(threads or self.threads):
                    found |= measured(model, test_set, kind, name, found["metrics"])
            except ImportError as error:
                absent = error
                continue
            say_measured(found, key, seconds=time.perf_counter() - start, by=by)
            checkpoints.write_json(record, found)
        if absent is not None:
            raise absent
        if left_out:
            raise TimeUp(f"no time left for {', '.join(left_out)}")

    def _repeated(self, found: dict[str, Any], result: Path) -> dict[str, Any]:
        """What says that a run ended in its weights again, if the one in its folder is another."""
        other = json.loads(result.read_text()) if result.exists() else found
        if other["history"] == found["history"]:  # with the seconds of each epoch
            return {}
        return {key: other[key] for key in ("commit", "versions", "device", "threads")}

    def _command(self, label: str, seed: int, threads: int | None) -> str:
        """The command that makes a run again, with the threads where they are not the grid's."""
        other = f" --threads {threads}" if threads not in (None, self.threads) else ""
        return f"python -m experiments.{self.module} {label} --seed {seed}{other}"

    def _threads(self, record: Path, asked: int | None) -> int | None:
        """The threads to train with: those asked for, or of the result that is there."""
        if asked is None and self.threads and record.exists():
            return int(json.loads(record.read_text())["threads"])
        return asked or self.threads

    def _made_on(self, device: str) -> list[dict[str, Any]]:
        """The results of this grid that are from such a device."""
        all_ = [json.loads(path.read_text()) for path in self.results.glob("*-seed*.json")]
        return [found for found in all_ if found.get("device") == device]

    def _takes(self, key: str, device: str) -> float:
        """The most seconds that some run of this grid took to measure this, or a guess."""
        took = [found["seconds"].get("measure", {}).get(key) for found in self._made_on(device)]
        return max(
            (some for some in took if some is not None),
            default=GUESS.get(key.partition("/")[0], 0.0),
        )

    def epoch_seconds(self, label: str, seed: int) -> float:
        """What the last epoch of a run that was cut off took, or of others; 0 if there is none."""
        name = "checkpoint.safetensors"
        own = self.runs / f"{label}-seed{seed}" / name
        begun = [own] if own.exists() else self.runs.glob(f"*/{name}")
        histories = [checkpoints.read_meta(path)["history"] for path in begun]
        if not own.exists():
            made = self._made_on(environment.device_name(self.device))
            histories += [found["history"] for found in made]
        return max((float(rows[-1]["seconds"]) for rows in histories if rows), default=0.0)

    def lost(self, label: str, seed: int) -> bool:
        """Whether a run has a result but no weights: to measure more it must be trained again."""
        folder = self.runs / f"{label}-seed{seed}"
        return self.record(label, seed).exists() and not any(folder.glob("*.safetensors"))

    def _watch(self, label: str, what: Plan, seed: int, until: float) -> OnEpoch:
        """After each epoch: on a GPU say how fast it was; stop if what follows would not fit."""
        say = None
        made = self._made_on(environment.device_name(self.device))
        evaluation = max((found["seconds"]["evaluate"] for found in made), default=0.0)
        if self.device.type == "cuda":
            train_set = data.load(what.recipe.data, "train", n=what.n_train, verify=self.verify)
            say = meter(what.recipe.network, what.method(seed), train_set, self.device)

        def after(model: nn.Module, row: Row) -> None:
            if say is not None:
                said = say(row["seconds"])
                print(f"{label} seed {seed}, epoch {row['epoch']}: {said}", flush=True)
            last = row["epoch"] == what.recipe.config.epochs
            if not fits(until, evaluation if last else row["seconds"]):
                raise TimeUp

        return after

    def record(self, label: str, seed: int) -> Path:
        """The file of a result."""
        return self.results / f"{label}-seed{seed}.json"
