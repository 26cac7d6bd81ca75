"""Tiny-ImageNet with the network `small`, on a CPU, two epochs: does the whole path run?

    python -m experiments.tiny_imagenet_small

Also on a cut of the set, which the results then name; no figure of it goes into the paper's table.
"""

from __future__ import annotations

from experiments.command import command
from experiments.plans import Grid
from partlib.recipes import recipe

short = recipe("tiny-imagenet/small").with_config(epochs=2)
grid = Grid(module="tiny_imagenet_small", recipe=short, verify=False)
GROUPS = ({"at": grid.plan("at", seeds=1), "part": grid.plan("part", seeds=1)},)

if __name__ == "__main__":
    command(grid, GROUPS)
