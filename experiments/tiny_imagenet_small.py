"""Tiny-ImageNet with the network `small`, on a CPU, two epochs: does the whole path run?

    python -m experiments.tiny_imagenet_small

Also on a cut of the set, which the results then name; no figure of it goes into the paper's table.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import diagnosed
from partlib.recipes import recipe

short = recipe("tiny-imagenet/small").with_config(epochs=2)
grid = Grid(module="tiny_imagenet_small", recipe=short, verify=False)
fp32 = replace(grid, recipe=short.with_config(precision="fp32"))
GROUPS = (
    diagnosed(
        {f"{name}-fp32": fp32.plan(name, seeds=1) for name in ("at", "part")},
        {name: grid.plan(name, seeds=1) for name in ("at", "part")},
    ),
)

if __name__ == "__main__":
    command(grid, GROUPS)
