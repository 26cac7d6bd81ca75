"""What the grids for a GPU take on this device, from its measured throughput.

    python -m experiments.cost                  some minutes on a GPU
    python -m experiments.cost --batch-size 4   a dry run of every network and method on a CPU

Each network trains one epoch of AT, of a few batches of random images of its set's size. The other
methods follow by the operations of a step. Evaluation is not counted.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments import cifar10_resnet18, svhn_resnet18, tiny_imagenet_wrn
from experiments.grids import Grid
from experiments.plans import Plan
from experiments.speed import flops_per_image
from partlib import checkpoints, environment, models, results, runs, training
from partlib.data import ImageSet

GRIDS = (
    (cifar10_resnet18.grid, cifar10_resnet18.NINE),
    (svhn_resnet18.grid, svhn_resnet18.GROUPS[-1]),
    (tiny_imagenet_wrn.grid, tiny_imagenet_wrn.GROUPS[-1]),
)
SETS = {"cifar10": (50_000, 32, 10), "svhn": (73_257, 32, 10), "tiny-imagenet": (100_000, 64, 200)}
"""Training images, their side, and classes."""


def images_per_second(grid: Grid, *, batch_size: int, batches: int, rounds: int) -> float:
    """The rate of AT on random images, the median of some epochs after one that warms up."""
    _, side, classes = SETS[grid.recipe.data]
    draws, n = torch.Generator().manual_seed(0), batches * batch_size
    images = ImageSet(
        name="random",
        split="train",
        pixels=torch.randint(0, 256, (n, 3, side, side), generator=draws, dtype=torch.uint8),
        labels=torch.randint(0, classes, (n,), generator=draws),
        class_names=tuple(map(str, range(classes))),
    )
    device = runs.best_device()
    model = models.build(grid.recipe.network, classes, seed=0).to(device)
    # Random images cannot be learned, and a diverging step would take no less time.
    config = replace(grid.recipe.config, epochs=1 + rounds, batch_size=batch_size, lr=1e-6)
    history = training.fit(model, images, grid.recipe.method("at"), config, progress=False)
    return n / statistics.median(row["seconds"] for row in history[1:])


def hours(grid: Grid, plans: dict[str, Plan], rate: float) -> dict[str, float]:
    """Hours of one run of each method, from the rate of AT."""
    n = SETS[grid.recipe.data][0]
    hours_of_at = n * grid.recipe.config.epochs / rate / 3600
    steps = {
        label: flops_per_image(grid.recipe.network, what.method(0)) for label, what in plans.items()
    }
    return {label: hours_of_at * flops / steps["at"] for label, flops in steps.items()}


def main() -> None:
    """Measure, print, and write `results/benchmarks/cost-DEVICE.json`."""
    parser = argparse.ArgumentParser(prog="python -m experiments.cost", description=__doc__)
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--batches", type=int, default=4, help="in an epoch (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--out", type=Path, default=results.folder("benchmarks"), help="folder")
    given = parser.parse_args()
    device, rows = runs.best_device(), []
    for grid, plans in GRIDS:
        size = given.batch_size or grid.recipe.config.batch_size
        rate = images_per_second(grid, batch_size=size, batches=given.batches, rounds=given.rounds)
        by_method = hours(grid, plans, rate)
        row: dict[str, Any] = {
            "data": grid.recipe.data,
            "network": grid.recipe.network,
            "epochs": grid.recipe.config.epochs,
            "batch_size": size,
            "images_per_second": rate,
            "hours": by_method,
            "hours_of_all": sum(by_method[label] * what.seeds for label, what in plans.items()),
        }
        rows.append(row)
        print(
            f"{row['data']} {row['network']}: AT {rate:,.1f} img/s in batches of {size}; "
            f"{row['epochs']} epochs of AT {by_method['at']:,.1f} h, of the nine methods with "
            f"their seeds {row['hours_of_all']:,.0f} h",
            flush=True,
        )
    record = {"grids": rows, **environment.describe(device)}
    checkpoints.write_json(given.out / f"cost-{device.type}.json", record)


if __name__ == "__main__":
    main()
