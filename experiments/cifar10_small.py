"""CIFAR-10 at CPU scale: all 50,000 images and the network `small`, six epochs.

    python -m experiments.cifar10_small

Three seeds. PART's low budget is 4/255 where its map is held against controls, so that an effect
has room to show. The paper's own 7/255 stands beside AT in float32, which every processor has: what
the other runs are in, bfloat16, not every one does.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import diagnosed
from partlib.recipes import recipe

SEEDS = {"seeds": 3}
grid = Grid(module="cifar10_small", recipe=recipe("cifar10/small").with_config(epochs=6))
fp32 = replace(grid, recipe=grid.recipe.with_config(precision="fp32"))
MEASURED = (
    {
        "at": grid.plan("at", **SEEDS),
        "part": grid.plan("part", seeds=1),
        "part-s10": grid.plan("part", refresh=10, warmup=2, seeds=1),
        "part-low4": grid.plan("part", eps_low=4 / 255, **SEEDS),
        "part-shuffled-low4": grid.controlled("-shuffled", low=4, **SEEDS),
    },
    {"at-like-part-low4": grid.like("part-low4", **SEEDS)},
    {
        "at-fp32": fp32.plan("at", **SEEDS),
        "part-fp32": fp32.plan("part", **SEEDS),
        "part-s10-fp32": fp32.plan("part", refresh=10, warmup=2, **SEEDS),
    },
)
GROUPS = (*MEASURED, diagnosed(*MEASURED))

if __name__ == "__main__":
    command(grid, GROUPS)
