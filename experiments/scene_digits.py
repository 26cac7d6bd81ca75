"""What is measured on scene-digits with the network `small`, on a CPU.

    python -m experiments.scene_digits                         all that is missing, in order
    python -m experiments.scene_digits --list                  what is missing
    python -m experiments.scene_digits part-s10-fp32 --seed 3  one run

Each run has one thread, so that its result does not depend on how many cores there are; `--jobs 2`
keeps two cores busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from experiments.command import command
from experiments.grids import Grid
from experiments.groups import CONTROLS, LIKE, diagnosed
from experiments.plans import QUARTERS, Plan
from partlib import corruptions
from partlib.recipes import recipe

grid = Grid(module="scene_digits", recipe=recipe("scene-digits/small"), cams=("grad_cam",))
# Runs with precision "auto" are in bfloat16, for which a processor must have it; these are not.
fp32 = replace(grid, recipe=grid.recipe.with_config(precision="fp32"))
# AutoAttack on 64 images takes as long as training; PGD-20 stands beside it on the same ones.
AUTOATTACK = ("pgd20@64", "aa@64")
# A map for ten of eight epochs is taken once, after a quarter of them as in the paper.
NINE = {
    "natural": grid.plan("natural"),
    **grid.nine(warmup=2),
    "part-low4": grid.plan("part", eps_low=4 / 255),
}
CORRUPTED = ("natural", "at", "part-s10", "trades", "part-trades-s10", "mart", "part-mart-s10")
"""Natural training, and the six methods of the talk's second table."""
SWEEPS = {
    **{f"at-eps{e}": grid.plan("at", seeds=3, eps=e / 255) for e in (2, 4, 6, 12, 16)},
    **{f"part-low{e}": grid.plan("part", seeds=3, eps_low=e / 255) for e in (0, 2, 6)},
    "part-cam": grid.plan("part", seeds=1, cam="cam"),
    "part-xgrad_cam": grid.plan("part", seeds=3, cam="xgrad_cam"),
    **{f"part-s{s}-fp32": fp32.plan("part", seeds=3, refresh=s, warmup=2) for s in (2, 5)},
    **{
        f"part-{name}-fp32": fp32.plan("part", seeds=3, cam=name)
        for name in ("layer_cam", "xgrad_cam")
    },
    **{f"at-eps{e}-fp32": fp32.plan("at", seeds=3, eps=e / 255) for e in (2, 4, 6, 12, 16)},
    **{f"part-low{e}-fp32": fp32.plan("part", seeds=3, eps_low=e / 255) for e in (0, 2, 6)},
}
# Few images at a constant rate, and how well the network does on others after each epoch.
OVERFITTED = replace(grid, recipe=grid.recipe.with_config(epochs=40, lr=1e-3, schedule="steps"))
LONG = {
    f"{name}-long": replace(OVERFITTED.plan(name, seeds=3), n_train=2000, n_val=500)
    for name in ("at", "part")
}


def under_autoattack(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """The same plans with AutoAttack measured as well."""
    return {
        label: replace(what, attacks=(*what.attacks, *AUTOATTACK)) for label, what in plans.items()
    }


def fully(label: str, what: Plan) -> Plan:
    """A plan of the main table with all but AutoAttack measured."""
    names = corruptions.NAMES if label in CORRUPTED else ()
    return replace(what, attacks=(*what.attacks, "mma@500"), corruptions=names)


FULL = {label: fully(label, what) for label, what in NINE.items()}
FULL_PRECISION = {
    f"{label}-fp32": fully(label, what)
    for label, what in {
        "natural": fp32.plan("natural"),
        **fp32.nine(warmup=2),
        "part-low4": fp32.plan("part", eps_low=4 / 255),
    }.items()
}
MEASURED: tuple[dict[str, Plan], ...] = (
    FULL,
    {f"part{end}-low4": grid.controlled(end, low=4) for end in (*CONTROLS, "-as-published")},
    {f"at-like-part{end}-low4": grid.like(f"part{end}-low4") for end in LIKE},
    {
        **{f"quad-{q}": grid.quarters(q, there=6, elsewhere=12) for q in QUARTERS},
        "uniform-10.5": grid.plan("at", eps=10.5 / 255),
    },
    under_autoattack(FULL),
    {**SWEEPS, **LONG},
    {
        **{f"quad-high-{q}": fp32.quarters(q, there=12, elsewhere=6) for q in QUARTERS},
        "uniform-7.5": fp32.plan("at", eps=7.5 / 255),
    },
    FULL_PRECISION,
    {f"part{end}-fp32": fp32.controlled(end, low=7) for end in CONTROLS},
    {f"at-like-part{end}-fp32": fp32.like(f"part{end}-fp32") for end in LIKE},
    under_autoattack(FULL_PRECISION),
    {f"part{end}-low4-fp32": fp32.controlled(end, low=4) for end in CONTROLS},
    {f"at-like-part{end}-low4-fp32": fp32.like(f"part{end}-low4-fp32") for end in LIKE},
    {
        **{f"quad-{q}-fp32": fp32.quarters(q, there=6, elsewhere=12) for q in QUARTERS},
        "uniform-10.5-fp32": fp32.plan("at", eps=10.5 / 255),
    },
)
GROUPS = (*MEASURED, diagnosed(*MEASURED))

if __name__ == "__main__":
    command(grid, GROUPS)
