"""Tiny-ImageNet with WRN-34-10, for a large GPU: the third block of the paper's main table.

    python -m experiments.tiny_imagenet_wrn --budget 9m

The nine methods, one seed and then three. `python -m experiments.cost` says how long that takes.
"""

from __future__ import annotations

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import block
from partlib.recipes import recipe

grid = Grid(module="tiny_imagenet_wrn", recipe=recipe("tiny-imagenet/wrn-34-10"), threads=None)
GROUPS = block(grid)

if __name__ == "__main__":
    command(grid, GROUPS)
