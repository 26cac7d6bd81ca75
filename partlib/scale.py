"""The book's three sizes of the same chapter: a laptop, a GPU for minutes, the paper's setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from partlib import data, results, runs, zoo
from partlib.data import ImageSet
from partlib.models import Classifier
from partlib.recipes import Recipe, recipe


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a chapter runs on.

    Attributes:
        name: "cpu", "gpu" or "paper".
        recipe: data set, network and training settings.
        n_eval: test images that robust accuracy is measured on, few enough to attack at once.
        zoo: whether trained networks come with the library; else they are trained when asked
            for, once, and kept.
        precision: "fp32" or "bf16", in which the runs were trained that chapters show.
    """

    name: str
    recipe: Recipe
    n_eval: int
    zoo: bool
    precision: str

    def load(self, split: str, *, n: int | None = None) -> ImageSet:
        """A split of this scale's data set, on the GPU where there is one.

        "val" of a set without one is `n` training images, 1,000 unless it is given. As long as
        both together are no more than the set, none of those that `load("train", n=...)` gives is
        among them; but those of `model` were trained on them too.

        Raises:
            ValueError: there is no such split, or it has fewer images.
        """
        if split != "val" or split in data.NAMES[self.recipe.data]:
            return data.load(self.recipe.data, split, n=n).to(runs.best_device())
        whole = data.load(self.recipe.data, "train")
        n = VAL if n is None else n
        if not (isinstance(n, int) and 0 < n < len(whole)):
            raise ValueError(f"n: between 1 and {len(whole) - 1} is needed, found {n!r}")
        # Both pick from one order of the images: "train" from its front, and this its end.
        return data.hold_out(whole, len(whole) - n)[0].to(runs.best_device())

    def test_set(self) -> ImageSet:
        """The test images that this scale measures on."""
        return self.load("test", n=self.n_eval)

    def measured(self) -> list[dict[str, Any]]:
        """The runs that came with the book at this scale, all trained in its precision."""
        every = results.measured(self.recipe.data, self.recipe.network)
        return results.trained_in(every, self.precision)

    def model(self, name: str, **settings: Any) -> Classifier:
        """A trained network, on the GPU where there is one.

        It is from the zoo, or trained now and kept for the next time.

        Args:
            name: a method's name, such as "natural", "at" or "part".
            settings: further arguments of `methods.part`; then the zoo is not asked.
        """
        if self.zoo and not settings and name in zoo.names():
            return zoo.load(name).to(runs.best_device())
        method = self.recipe.method(name, **settings)
        tag = "-".join([name, *(f"{k}={v}" for k, v in sorted(settings.items()))])
        folder = data.find_root() / "book" / self.name / tag
        return runs.train_or_load(self.recipe, method, folder=folder)


VAL = 1_000
"""Images of "val" where a data set has none of its own."""

SCALES = {
    "cpu": Scale(
        name="cpu",
        recipe=recipe("scene-digits/small"),
        n_eval=500,
        zoo=True,
        precision="fp32",  # in bfloat16 many processors could not make the runs again
    ),
    "gpu": Scale(
        name="gpu", recipe=recipe("cifar10/resnet18"), n_eval=1_000, zoo=False, precision="bf16"
    ),
    "paper": Scale(
        name="paper",
        recipe=recipe("cifar10/resnet18/paper"),
        n_eval=1_000,
        zoo=False,
        precision="bf16",
    ),
}


def settings(name: str) -> Scale:
    """What a chapter's `SCALE` means.

    Raises:
        ValueError: not "cpu", "gpu" or "paper".
    """
    if name not in SCALES:
        raise ValueError(f"SCALE: one of {', '.join(SCALES)} is needed, found {name!r}")
    return SCALES[name]
