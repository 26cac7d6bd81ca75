"""A few images of scene-digits, and whether two sets are equal."""

import torch

from partlib import data
from partlib.data import ImageSet


def draw(split: str = "train", n: int = 50, seed: int = 0) -> ImageSet:
    return data.load("scene-digits", split, n=n, seed=seed)


def same(a: ImageSet, b: ImageSet) -> bool:
    assert a.object_pixels is not None
    assert b.object_pixels is not None
    return (
        torch.equal(a.pixels, b.pixels)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.object_pixels, b.object_pixels)
    )
