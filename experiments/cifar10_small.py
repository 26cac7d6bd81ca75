"""CIFAR-10 at CPU scale: all 50,000 images and the network `small`, six epochs.

    python -m experiments.cifar10_small

Three seeds. PART's low budget is 4/255 here, so that an effect of the map has room to show.
"""

from __future__ import annotations

from experiments.command import command
from experiments.groups import diagnosed
from experiments.plans import Grid
from partlib.recipes import recipe

SEEDS = {"seeds": 3}
grid = Grid(module="cifar10_small", recipe=recipe("cifar10/small").with_config(epochs=6))
MEASURED = (
    {
        "at": grid.plan("at", **SEEDS),
        "part": grid.plan("part", **SEEDS),
        "part-s10": grid.plan("part", refresh=10, warmup=2, **SEEDS),
        "part-low4": grid.plan("part", eps_low=4 / 255, **SEEDS),
        "part-shuffled-low4": grid.controlled("-shuffled", low=4, **SEEDS),
    },
    {"at-like-part-low4": grid.like("part-low4", **SEEDS)},
)
GROUPS = (*MEASURED, diagnosed(*MEASURED))

if __name__ == "__main__":
    command(grid, GROUPS)
