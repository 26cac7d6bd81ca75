"""What is measured on scene-digits with the network `small`, on a CPU.

    python -m experiments.scene_digits                        all that is missing, in order
    python -m experiments.scene_digits --list                 what there is, and what is missing
    python -m experiments.scene_digits part-shuffled --seed 3 one run, again

A run leaves one file in results/, which holds the command that makes it again. A run that was cut
off resumes, so all this can be stopped and started at will. Each run has one thread, so that its
result does not depend on how many cores there are; `--jobs 2` keeps two cores busy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from partlib import checkpoints, corruptions, data, evaluation, methods, models, runs
from partlib.methods import Method, control
from partlib.recipes import recipe
from partlib.results import commit

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "scene-digits" / "small"
RECIPE = recipe("scene-digits/small")
CAMS = ("grad_cam",)
ATTACKS = (*runs.EVAL_ATTACKS, "mma@500")
AUTOATTACK = ("pgd20@64", "aa@64")
"""AutoAttack on 64 images takes as long as training; PGD-20 stands beside it on the same ones."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one label means: how to make its method, how many seeds, and what to measure."""

    method: Callable[[int], Method]
    seeds: int = 5
    attacks: Sequence[str] = runs.EVAL_ATTACKS
    corruptions: Sequence[str] = ()


def plan(name: str, seeds: int = 5, **settings: Any) -> Plan:
    """A method of the recipe by name."""
    return Plan(method=lambda seed: RECIPE.method(name, **settings), seeds=seeds)


def full(name: str, corrupted: bool = False, **settings: Any) -> Plan:
    """The same with everything measured: one of the nine methods of PART's tables."""
    return Plan(
        method=lambda seed: RECIPE.method(name, **settings),
        attacks=ATTACKS,
        corruptions=corruptions.NAMES if corrupted else (),
    )


def controlled(end: str, *, low: int) -> Plan:
    """PART with a control in the place of its map, or with the published rule."""
    if end == "-published":
        return plan("part", eps_low=low / 255, rule="published")
    return Plan(
        method=lambda seed: control(RECIPE.method("part", eps_low=low / 255), end.strip("-"))
    )


def like(label: str) -> Plan:
    """AT with the mean budget that another label had, seed by seed, once its ramp was over."""

    def method(seed: int) -> Method:
        path = RESULTS / f"{label}-seed{seed}.json"
        if not path.exists():
            raise FileNotFoundError(f"{path} is needed first, for its mean budget")
        late = [row["mean_eps"] for row in json.loads(path.read_text())["history"][-3:]]
        return RECIPE.method("at", eps=round(sum(late) / len(late), 3) / 255)

    return Plan(method=method)


def quarters(where: str, *, there: int, elsewhere: int) -> Plan:
    """The proof of concept: one quarter of the image has another budget."""
    budgets = {q: (there if q == where else elsewhere) / 255 for q in QUARTERS}
    high = max(there, elsewhere) / 255
    return Plan(method=lambda seed: methods.quadrants(RECIPE.method("at", eps=high), **budgets))


QUARTERS = ("ul", "ur", "bl", "br")
# A snapshot for ten of eight epochs is taken once, after a quarter of them as in the paper.
S10 = {"refresh": 10, "warmup": 2}
NINE = {
    "natural": full("natural", corrupted=True),
    "at": full("at", corrupted=True),
    "part": full("part"),
    "part-s10": full("part", corrupted=True, **S10),
    "trades": full("trades", corrupted=True),
    "part-trades": full("part", base="trades"),
    "part-trades-s10": full("part", base="trades", corrupted=True, **S10),
    "mart": full("mart", corrupted=True),
    "part-mart": full("part", base="mart"),
    "part-mart-s10": full("part", base="mart", corrupted=True, **S10),
    "part-low4": full("part", eps_low=4 / 255),
}
SAME = ("-shuffled", "-random")
"""Controls with the mean budget of PART itself."""
ENDS = ("-shuffled", "-oracle", "-inverted", "-random", "-published")
QUADRANTS = {f"quad-{q}": quarters(q, there=6, elsewhere=12) for q in QUARTERS}
MIRRORED = {f"quad-high-{q}": quarters(q, there=12, elsewhere=6) for q in QUARTERS}
SWEEPS = {
    **{f"at-eps{e}": plan("at", seeds=3, eps=e / 255) for e in (2, 4, 6, 12, 16)},
    **{f"part-low{low}": plan("part", seeds=3, eps_low=low / 255) for low in (0, 2, 6)},
    **{f"part-s{s}": plan("part", seeds=3, refresh=s, warmup=2) for s in (2, 5)},
    **{f"part-{cam}": plan("part", seeds=3, cam=cam) for cam in ("cam", "xgrad_cam", "layer_cam")},
}
GROUPS: tuple[dict[str, Plan], ...] = (
    NINE,
    {f"part{end}-low4": controlled(end, low=4) for end in ENDS},
    {f"at-like-part{end}-low4": like(f"part{end}-low4") for end in ("", *ENDS) if end not in SAME},
    {**QUADRANTS, "uniform-10.5": plan("at", eps=10.5 / 255)},
    {label: replace(what, attacks=(*ATTACKS, *AUTOATTACK)) for label, what in NINE.items()},
    SWEEPS,
    {f"part{end}": controlled(end, low=7) for end in ENDS},
    {f"at-like-part{end}": like(f"part{end}") for end in ("", *ENDS) if end not in SAME},
    {**MIRRORED, "uniform-7.5": plan("at", eps=7.5 / 255)},
)
"""All labels, in the order in which they are run. A group may need results of those before it."""
GRID = {label: what for group in GROUPS for label, what in group.items()}


def measure(label: str, seed: int, *, threads: int, results: Path, folder: Path) -> None:
    """Train one label with one seed, or load it, and measure what its result does not have."""
    what, name = GRID[label], f"{label}-seed{seed}"
    chosen = RECIPE.with_config(seed=seed)
    command = f"python -m experiments.scene_digits {label} --seed {seed}"
    command += f" --threads {threads}" if threads != 1 else ""
    if not (results / f"{name}.json").exists():
        runs.run(chosen, what.method(seed), folder=folder / name, label=label, command=command)
        found = json.loads((folder / name / "result.json").read_text())
        checkpoints.write_json(results / f"{name}.json", found)
    found = json.loads((results / f"{name}.json").read_text())
    model = models.build(chosen.network, found["num_classes"])
    checkpoints.load_weights(model, folder / name / "weights.safetensors")
    if checkpoints.weights_sha256(model) != found["weights_sha256"]:
        raise ValueError(f"folder: {folder / name} has not the weights of {results / name}.json")
    start = time.perf_counter()
    found["metrics"] |= evaluation.evaluate(
        model,
        data.load(chosen.data, "test"),
        [attack for attack in what.attacks if attack not in found["metrics"]],
        corruptions=[c for c in what.corruptions if f"corruption/{c}" not in found["metrics"]],
        cams=[cam for cam in CAMS if f"cam/{cam}/iou" not in found["metrics"]],
        progress=True,
    )
    found["metrics"] = {key: round(value, 4) for key, value in found["metrics"].items()}
    found["evaluated"] = {"command": command, "commit": commit()}
    found["seconds"]["evaluate"] += round(time.perf_counter() - start, 1)
    checkpoints.write_json(results / f"{name}.json", found)


def missing(group: dict[str, Plan], results: Path) -> list[tuple[str, int]]:
    """Labels and seeds that have not all their figures, seed by seed, so that labels keep pace."""
    todo = []
    for seed in range(5):
        for label, what in group.items():
            path = results / f"{label}-seed{seed}.json"
            wanted = {*what.attacks, *(f"corruption/{name}" for name in what.corruptions)}
            wanted |= {f"cam/{name}/iou" for name in CAMS}
            done = json.loads(path.read_text())["metrics"] if path.exists() else {}
            if seed < what.seeds and wanted - done.keys():
                todo.append((label, seed))
    return todo


def main(
    label: Annotated[str | None, typer.Argument(help="One label; without it all.")] = None,
    seed: Annotated[int, typer.Option(help="Its seed.")] = 0,
    threads: Annotated[int, typer.Option(help="Its threads; another number, other bits.")] = 1,
    jobs: Annotated[int, typer.Option(help="Of all: so many at a time.")] = 1,
    show: Annotated[bool, typer.Option("--list", help="Only say what is missing.")] = False,
    results: Annotated[Path, typer.Option(help="Where results are written.")] = RESULTS,
    folder: Annotated[Path, typer.Option(help="Where weights are.")] = ROOT / "runs/scene-digits",
) -> None:
    """Run one label, or all that is missing, group by group."""
    if label is not None:
        if label not in GRID:
            raise typer.BadParameter(f"one of {', '.join(GRID)} is needed, found {label!r}")
        torch.set_num_threads(threads)
        measure(label, seed, threads=threads, results=results, folder=folder)
        return

    def one(job: tuple[str, int]) -> None:
        command = [sys.executable, "-m", "experiments.scene_digits", job[0], "--seed", str(job[1])]
        command += ["--results", str(results), "--folder", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)

    for group in GROUPS:
        todo = missing(group, results)
        if show:
            print(*(f"{label} --seed {seed}\n" for label, seed in todo), sep="", end="")
            continue
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, todo))


if __name__ == "__main__":
    typer.run(main)
