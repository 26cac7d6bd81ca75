"""SVHN with ResNet-18, for a GPU: the second block of the paper's main table.

    python -m experiments.svhn_resnet18 --budget 9m

The nine methods, one seed and then three. `python -m experiments.cost` says how long that takes.
"""

from __future__ import annotations

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import block
from partlib.recipes import recipe

grid = Grid(module="svhn_resnet18", recipe=recipe("svhn/resnet18"), threads=None)
GROUPS = block(grid)

if __name__ == "__main__":
    command(grid, GROUPS)
