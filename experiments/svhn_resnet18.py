"""SVHN with ResNet-18, for a GPU: the second block of the paper's main table.

    python -m experiments.svhn_resnet18 --budget 9m

The nine methods, one seed and then three. `python -m experiments.cost` says how long that takes.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import command
from experiments.plans import ON_GPU, Grid
from partlib.recipes import recipe

grid = Grid(module="svhn_resnet18", recipe=recipe("svhn/resnet18"), threads=None)
NINE = {
    label: replace(what, attacks=ON_GPU, diagnose=True)
    for label, what in grid.nine(seeds=3).items()
}
GROUPS = ({label: replace(what, seeds=1) for label, what in NINE.items()}, NINE)

if __name__ == "__main__":
    command(grid, GROUPS)
