"""CIFAR-10 with ResNet-18, for a GPU: what fits into a stretch of time, in the order of its worth.

    python -m experiments.cifar10_resnet18 --budget 9m

One seed of AT and PART, then the nine methods, then three seeds, then the paper's own recipe for
AT and PART, then the controls. A run that is cut off goes on from its last epoch.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.plans import CONTROLS, Grid, command
from partlib import corruptions
from partlib.recipes import recipe

grid = Grid(module="cifar10_resnet18", recipe=recipe("cifar10/resnet18"), threads=None)
paper = replace(grid, recipe=recipe("cifar10/resnet18/paper"))
# AutoAttack on the first 1,000 test images; PGD-20 stands beside it on the same ones.
ATTACKS = ("natural", "pgd20", "mma", "pgd20@1000", "aa@1000")
NINE = {
    label: replace(
        grid.plan(name, seeds=3, **settings), attacks=ATTACKS, corruptions=corruptions.NAMES
    )
    for label, name, settings in (
        ("at", "at", {}),
        ("part-s10", "part", {"refresh": 10}),
        ("part", "part", {}),
        ("trades", "trades", {}),
        ("part-trades", "part", {"base": "trades"}),
        ("part-trades-s10", "part", {"base": "trades", "refresh": 10}),
        ("mart", "mart", {}),
        ("part-mart", "part", {"base": "mart"}),
        ("part-mart-s10", "part", {"base": "mart", "refresh": 10}),
    )
}
ONE_SEED = {label: replace(what, seeds=1) for label, what in NINE.items()}
GROUPS = (
    {label: ONE_SEED[label] for label in ("at", "part-s10")},
    ONE_SEED,
    NINE,
    {
        "at-paper": paper.plan("at", seeds=1),
        "part-s10-paper": paper.plan("part", seeds=1, refresh=10),
    },
    {f"part{end}": grid.controlled(end, low=7, seeds=3) for end in CONTROLS if end != "-oracle"},
    {"at-like-part": grid.like("part", seeds=3)},
)

if __name__ == "__main__":
    command(grid, GROUPS)
