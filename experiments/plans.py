"""A grid of runs: what each label means, which results are missing, and how one is made.

A run leaves one file in results/, which holds the command that makes it again. A run that was cut
off resumes from its last epoch, so a grid can be stopped and started at will.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.measure import peak_tflops
from experiments.speed import flops_per_image
from partlib import checkpoints, data, evaluation, methods, models, results, runs
from partlib.diagnose import diagnose
from partlib.methods import Method, control
from partlib.recipes import Recipe
from partlib.training import OnEpoch, Row

ROOT = Path(__file__).resolve().parents[1]
QUARTERS = ("ul", "ur", "bl", "br")
CONTROLS = ("-shuffled", "-random", "-oracle", "-inverted", "-published")
"""Ends of the labels of what is put in the place of PART's map."""
LIKE = ("", "-oracle", "-inverted", "-published")
"""Those that differ in their mean budget; the shuffled and the random map have PART's own."""
ON_GPU = ("natural", "pgd20", "mma", "pgd20@1000", "aa@1000")
"""AutoAttack on the first 1,000 test images; PGD-20 stands beside it on the same ones."""
DIAGNOSED = 100
"""Test images on which signs of masked gradients are looked for."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one label means: recipe, method by seed, how many seeds, and what is measured.

    Attributes:
        recipe: data set, network and configuration.
        method: from the seed.
        seeds: how many, from 0.
        attacks: see `evaluation.evaluate`.
        corruptions: see `evaluation.evaluate`.
        diagnose: whether signs of masked gradients are looked for, see `diagnose.diagnose`.
        n_train: see `runs.run`.
        n_val: see `runs.run`.
    """

    recipe: Recipe
    method: Callable[[int], Method]
    seeds: int = 5
    attacks: Sequence[str] = runs.EVAL_ATTACKS
    corruptions: Sequence[str] = ()
    diagnose: bool = False
    n_train: int | None = None
    n_val: int = 0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Runs of one recipe.

    Attributes:
        module: the module of `experiments` that makes them, for their commands.
        recipe: data set, network and configuration.
        threads: threads of a run on a CPU; another number gives other bits.
        verify: whether the data set must be the published one, see `data.load`.
        cams: the class activation maps that are held against the true masks, where there are any.
    """

    module: str
    recipe: Recipe
    threads: int | None = 1
    verify: bool = True
    cams: Sequence[str] = ()

    @property
    def results(self) -> Path:
        """Where the results are."""
        return ROOT / "results" / self.recipe.data / self.recipe.network

    @property
    def runs(self) -> Path:
        """Where weights and checkpoints are."""
        return ROOT / "runs" / self.recipe.data / self.recipe.network

    def plan(self, name: str, *, seeds: int = 5, **settings: Any) -> Plan:
        """A method of the recipe by name, see `Recipe.method`."""
        return Plan(
            recipe=self.recipe,
            method=lambda seed: self.recipe.method(name, **settings),
            seeds=seeds,
        )

    def nine(self, *, seeds: int = 5, warmup: int | None = None) -> dict[str, Plan]:
        """The nine methods of the paper's main table; `warmup` is that of maps for ten epochs."""
        late = {} if warmup is None else {"warmup": warmup}
        plans: dict[str, Plan] = {}
        for base in ("at", "trades", "mart"):
            part = "part" if base == "at" else f"part-{base}"
            plans |= {
                base: self.plan(base, seeds=seeds),
                part: self.plan("part", base=base, seeds=seeds),
                f"{part}-s10": self.plan("part", base=base, refresh=10, seeds=seeds, **late),
            }
        return plans

    def controlled(self, end: str, *, low: float, seeds: int = 5) -> Plan:
        """PART with a control in the place of its map, or with the published rule."""
        if end == "-published":
            return self.plan("part", seeds=seeds, eps_low=low / 255, rule="published")
        part = self.recipe.method("part", eps_low=low / 255)
        return Plan(
            recipe=self.recipe, method=lambda seed: control(part, end.strip("-")), seeds=seeds
        )

    def like(self, label: str, *, seeds: int = 5) -> Plan:
        """AT with the mean budget that another label had, seed by seed, once its ramp was over."""

        def method(seed: int) -> Method:
            path = self.results / f"{label}-seed{seed}.json"
            if not path.exists():
                raise FileNotFoundError(f"{path} is needed first, for its mean budget")
            late = [row["mean_eps"] for row in json.loads(path.read_text())["history"][-3:]]
            return self.recipe.method("at", eps=round(sum(late) / len(late), 3) / 255)

        return Plan(recipe=self.recipe, method=method, seeds=seeds)

    def quarters(self, where: str, *, there: float, elsewhere: float) -> Plan:
        """The proof of concept: one quarter of the image has another budget, in 1/255."""
        budgets = {q: (there if q == where else elsewhere) / 255 for q in QUARTERS}
        base = self.recipe.method("at", eps=max(there, elsewhere) / 255)
        return Plan(recipe=self.recipe, method=lambda seed: methods.quadrants(base, **budgets))

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
        keys = {
            "attacks": "{}",
            "corruptions": "corruption/{}",
            "cams": "cam/{}/iou",
            "diagnose": "diagnose",
        }
        return [
            (kind, name) for kind, name in self.wanted(what) if keys[kind].format(name) not in done
        ]

    def measure(self, label: str, what: Plan, seed: int, *, until: float = math.inf) -> None:
        """Train one run, or load it, and measure what its result does not have.

        Raises:
            TimeUp: the time `until` has come; all that was done is kept.
            ValueError: the weights are not those of the result, as on another kind of processor.
        """
        record, folder = self.record(label, seed), self.runs / f"{label}-seed{seed}"
        command = f"python -m experiments.{self.module} {label} --seed {seed}"
        chosen = what.recipe.with_config(seed=seed)
        if not (folder / "weights.safetensors").exists():
            runs.run(
                chosen,
                what.method(seed),
                folder=folder,
                label=label,
                command=command,
                n_train=what.n_train,
                n_val=what.n_val,
                verify=self.verify,
                on_epoch=self._watch(what, seed, until),
            )
        if not record.exists():
            checkpoints.write_json(record, json.loads((folder / "result.json").read_text()))
        found = json.loads(record.read_text())
        model = models.build(chosen.network, found["num_classes"], seed=0)
        checkpoints.load_weights(model, folder / "weights.safetensors")
        if checkpoints.weights_sha256(model) != found["weights_sha256"]:
            raise ValueError(f"folder: the weights in {folder} are not those of {record}")
        model.to(runs.best_device())
        test_set = data.load(chosen.data, "test", verify=self.verify)
        for kind, name in self.missing(label, what, seed):
            stop(until)
            start = time.perf_counter()
            if kind == "diagnose":
                some = test_set[:DIAGNOSED].to(runs.best_device())
                report = diagnose(model, some.images, some.labels, steps=10)
                found["diagnose"] = {f.name: f.passed for f in report.findings}
            else:
                settings: dict[str, Any] = {"attacks": (), kind: (name,)}
                values = evaluation.evaluate(model, test_set, **settings, progress=True)
                found["metrics"] |= {key: round(value, 4) for key, value in values.items()}
            found["evaluated"] = {"command": command, "commit": results.commit()}
            found["seconds"]["evaluate"] += round(time.perf_counter() - start, 1)
            checkpoints.write_json(record, found)

    def _watch(self, what: Plan, seed: int, until: float) -> OnEpoch:
        """After each epoch: on a GPU say how fast it was; stop when the time has come."""
        device, method = runs.best_device(), what.method(seed)
        peak = 1e12 * peak_tflops(device, 5) if device.type == "cuda" else math.nan
        size = len(data.load(what.recipe.data, "train", verify=self.verify))

        def after(model: nn.Module, row: Row) -> None:
            if device.type == "cuda":
                rate = size / row["seconds"]
                needs = flops_per_image(what.recipe.network, method)
                print(f"{rate:,.0f} img/s, {100 * rate * needs / peak:.0f} % of the bf16 peak")
            stop(until)

        return after

    def record(self, label: str, seed: int) -> Path:
        """The file of a result."""
        return self.results / f"{label}-seed{seed}.json"


def block(grid: Grid, corrupted: Sequence[str] = ()) -> tuple[dict[str, Plan], dict[str, Plan]]:
    """A block of the paper's main table, for a GPU: the nine methods with one seed, then three."""
    three = {
        label: replace(what, attacks=ON_GPU, corruptions=corrupted, diagnose=True)
        for label, what in grid.nine(seeds=3).items()
    }
    return {label: replace(what, seeds=1) for label, what in three.items()}, three


def diagnosed(*groups: Mapping[str, Plan]) -> dict[str, Plan]:
    """All labels of these groups as the last of them has each, with `diagnose` as well."""
    return {
        label: replace(what, diagnose=True) for plans in groups for label, what in plans.items()
    }


class TimeUp(Exception):
    """A run was stopped at a moment from which it goes on."""


def stop(until: float) -> None:
    """Raise TimeUp once the time has come, in seconds since the epoch."""
    if time.time() > until:
        raise TimeUp
