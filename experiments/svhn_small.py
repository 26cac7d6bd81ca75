"""SVHN with the network `small`, on a CPU, 30 epochs: does the whole path run?

    python -m experiments.svhn_small

Also on a cut of the set, which the results then name; no figure of it goes into the paper's table.
"""

from __future__ import annotations

from experiments.command import command
from experiments.plans import Grid
from partlib.recipes import recipe

long = recipe("svhn/small").with_config(epochs=30)
grid = Grid(module="svhn_small", recipe=long, verify=False)
GROUPS = ({"at": grid.plan("at", seeds=1), "part": grid.plan("part", seeds=1)},)

if __name__ == "__main__":
    command(grid, GROUPS)
