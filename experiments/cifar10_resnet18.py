"""CIFAR-10 with ResNet-18, for a GPU: what fits into a stretch of time, in the order of its worth.

    python -m experiments.cifar10_resnet18 --budget 9m

One seed of AT and PART, then the nine methods, then three seeds, then the paper's own recipe for
AT and PART, then the controls and AT at their mean budgets. All are measured in the same way. A run
that is cut off goes on from its last epoch.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import command
from experiments.groups import CONTROLS, LIKE, block, diagnosed, on_gpu
from experiments.plans import Grid
from partlib import corruptions
from partlib.recipes import recipe

grid = Grid(module="cifar10_resnet18", recipe=recipe("cifar10/resnet18"), threads=None)
paper = replace(grid, recipe=recipe("cifar10/resnet18/paper"))
ONE_SEED, NINE = block(grid, corruptions.NAMES)
PAPER = {
    "at-paper": paper.plan("at", seeds=1),
    "part-s10-paper": paper.plan("part", seeds=1, refresh=10),
}
# Nobody knows the true masks.
CONTROLLED = {f"part{e}": grid.controlled(e, low=7, seeds=3) for e in CONTROLS if e != "-oracle"}
EQUAL = {f"at-like-part{e}": grid.like(f"part{e}", seeds=3) for e in LIKE if e != "-oracle"}
MEASURED = (
    {label: ONE_SEED[label] for label in ("at", "part-s10")},
    ONE_SEED,
    NINE,
    *(on_gpu(plans, corruptions.NAMES) for plans in (PAPER, CONTROLLED, EQUAL)),
)
GROUPS = (*MEASURED, diagnosed(*MEASURED))

if __name__ == "__main__":
    command(grid, GROUPS)
