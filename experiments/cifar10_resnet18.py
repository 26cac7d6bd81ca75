"""CIFAR-10 with ResNet-18, for a GPU: what fits into a stretch of time, in the order of its worth.

    python -m experiments.cifar10_resnet18 --budget 9m

One seed of AT and PART under PGD-20, then all that is measured of the two, then the nine methods,
then three seeds, then the paper's own recipe for AT and PART, then the controls and AT at their
mean budgets. Corruptions come last, on the first 1,000 test images: they are work for the
processor, so a machine without a GPU can measure them, given the weights, with
`--only corruptions`. A run that is cut off goes on from its last epoch, if its folder in `runs/`
is there.

`--jobs 2` makes two runs at once: on an H100 an epoch of both took 22 seconds, of one alone 15.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import CONTROLS, LIKE, block, on_gpu
from partlib import corruptions
from partlib.recipes import recipe
from partlib.runs import EVAL_ATTACKS

grid = Grid(module="cifar10_resnet18", recipe=recipe("cifar10/resnet18"), threads=None)
paper = replace(grid, recipe=recipe("cifar10/resnet18/paper"))
ONE_SEED, NINE = block(grid)
PAPER = {
    "at-paper": paper.plan("at", seeds=1),
    "part-s10-paper": paper.plan("part", seeds=1, refresh=10),
}
# Nobody knows the true masks.
CONTROLLED = {f"part{e}": grid.controlled(e, low=7, seeds=3) for e in CONTROLS if e != "-oracle"}
EQUAL = {f"at-like-part{e}": grid.like(f"part{e}", seeds=3) for e in LIKE if e != "-oracle"}
FIRST = {label: ONE_SEED[label] for label in ("at", "part-s10")}
MEASURED = (
    {label: replace(what, attacks=EVAL_ATTACKS, diagnose=False) for label, what in FIRST.items()},
    FIRST,
    ONE_SEED,
    NINE,
    *map(on_gpu, (PAPER, CONTROLLED, EQUAL)),
)
CORRUPTED = {
    label: replace(what, corruptions=[f"{name}@1000" for name in corruptions.NAMES])
    for plans in MEASURED
    for label, what in plans.items()
}
GROUPS = (*MEASURED, CORRUPTED)

if __name__ == "__main__":
    command(grid, GROUPS)
