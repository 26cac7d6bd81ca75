"""Groups of plans: the controls of PART's map, a block of a table, what a GPU measures of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from experiments.grids import Grid
from experiments.plans import Plan

CONTROLS = ("-shuffled", "-random", "-oracle", "-inverted", "-published")
"""Ends of the labels of what is put in the place of PART's map."""
LIKE = ("", "-oracle", "-inverted", "-published")
"""Those that differ in their mean budget; the shuffled and the random map have PART's own."""
ON_GPU = ("natural", "pgd20", "mma@3000", "pgd20@1000", "aa@1000")
"""MMA on the first 3,000 test images, AutoAttack and another PGD-20 on the first 1,000."""


def block(grid: Grid) -> tuple[dict[str, Plan], dict[str, Plan]]:
    """A block of the paper's main table, for a GPU: the nine methods with one seed, then three."""
    # A map for ten epochs is first taken after a quarter of them as in the paper, not at the start.
    three = on_gpu(grid.nine(seeds=3, warmup=grid.recipe.config.epochs // 4))
    return {label: replace(what, seeds=1) for label, what in three.items()}, three


def on_gpu(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """The same plans with all measured that a GPU has the time for."""
    return {label: replace(what, attacks=ON_GPU, diagnose=True) for label, what in plans.items()}


def diagnosed(*groups: Mapping[str, Plan]) -> dict[str, Plan]:
    """All labels of these groups as the last of them has each, with `diagnose` as well."""
    return {
        label: replace(what, diagnose=True) for plans in groups for label, what in plans.items()
    }
