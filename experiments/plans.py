"""What each label of a grid means: the recipe, the method by seed, and what is measured of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partlib import methods, runs
from partlib.methods import Method, control
from partlib.recipes import Recipe

ROOT = Path(__file__).resolve().parents[1]
QUARTERS = ("ul", "ur", "bl", "br")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one label means: recipe, method by seed, how many seeds, and what is measured.

    Attributes:
        recipe: data set, network and configuration.
        method: from the seed.
        seeds: how many, from 0.
        attacks: see `evaluation.evaluate`.
        corruptions: see `evaluation.evaluate`.
        diagnose: whether signs of masked gradients are looked for, see `diagnose.diagnose`.
        n_train: see `runs.run`.
        n_val: see `runs.run`.
    """

    recipe: Recipe
    method: Callable[[int], Method]
    seeds: int = 5
    attacks: Sequence[str] = runs.EVAL_ATTACKS
    corruptions: Sequence[str] = ()
    diagnose: bool = False
    n_train: int | None = None
    n_val: int = 0


@dataclass(frozen=True, kw_only=True)
class Plans:
    """Makes plans of one recipe.

    Attributes:
        recipe: data set, network and configuration.
    """

    recipe: Recipe

    @property
    def results(self) -> Path:
        """Where the results are."""
        return ROOT / "results" / self.recipe.data / self.recipe.network

    @property
    def runs(self) -> Path:
        """Where weights and checkpoints are."""
        return ROOT / "runs" / self.recipe.data / self.recipe.network

    def plan(self, name: str, *, seeds: int = 5, **settings: Any) -> Plan:
        """A method of the recipe by name, see `Recipe.method`."""
        return Plan(
            recipe=self.recipe,
            method=lambda seed: self.recipe.method(name, **settings),
            seeds=seeds,
        )

    def nine(self, *, seeds: int = 5, warmup: int | None = None) -> dict[str, Plan]:
        """The nine methods of the paper's main table; `warmup` is that of maps for ten epochs."""
        late = {} if warmup is None else {"warmup": warmup}
        plans: dict[str, Plan] = {}
        for base in ("at", "trades", "mart"):
            part = "part" if base == "at" else f"part-{base}"
            plans |= {
                base: self.plan(base, seeds=seeds),
                part: self.plan("part", base=base, seeds=seeds),
                f"{part}-s10": self.plan("part", base=base, refresh=10, seeds=seeds, **late),
            }
        return plans

    def controlled(self, end: str, *, low: float, seeds: int = 5) -> Plan:
        """PART with a control in the place of its map, or with the published rule.

        "-as-published" is what the published code does in all that concerns the map: its rule, on
        the map of another image, and its steps.
        """
        chosen: dict[str, Any] = {"eps_low": low / 255}
        if end == "-published":
            return self.plan("part", seeds=seeds, rule="published", **chosen)
        name = end.strip("-")
        if end == "-as-published":
            name, chosen = "shuffled", {**chosen, "rule": "published", "update": "clamp"}
        part = self.recipe.method("part", **chosen)
        return Plan(recipe=self.recipe, method=lambda seed: control(part, name), seeds=seeds)

    def like(self, label: str, *, seeds: int = 5) -> Plan:
        """AT with the mean budget that another label had, seed by seed, once its ramp was over."""

        def method(seed: int) -> Method:
            path = self.results / f"{label}-seed{seed}.json"
            if not path.exists():
                raise FileNotFoundError(f"{path} is needed first, for its mean budget")
            late = [row["mean_eps"] for row in json.loads(path.read_text())["history"][-3:]]
            return self.recipe.method("at", eps=round(sum(late) / len(late), 3) / 255)

        return Plan(recipe=self.recipe, method=method, seeds=seeds)

    def quarters(self, where: str, *, there: float, elsewhere: float) -> Plan:
        """The proof of concept: one quarter of the image has another budget, in 1/255."""
        budgets = {q: (there if q == where else elsewhere) / 255 for q in QUARTERS}
        base = self.recipe.method("at", eps=max(there, elsewhere) / 255)
        return Plan(recipe=self.recipe, method=lambda seed: methods.quadrants(base, **budgets))
