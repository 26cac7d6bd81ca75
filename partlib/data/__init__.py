"""Data: labelled images in [0, 1], from an embedded set that needs no network to benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from partlib.data import cifar10, scene_digits
from partlib.data.augment import shift_and_flip
from partlib.data.imageset import ImageSet, to_float

__all__ = [
    "NAMES",
    "ImageSet",
    "find_root",
    "found",
    "hold_out",
    "load",
    "shift_and_flip",
    "to_float",
]

NAMES = {"scene-digits": tuple(scene_digits.DEFAULT_N), "cifar10": tuple(cifar10.SPLITS)}


def load(
    name: str,
    split: str,
    *,
    n: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> ImageSet:
    """Load a split of a data set.

    Args:
        name: "scene-digits" (embedded: drawn, not read) or "cifar10".
        split: "train", "test" or, for scene-digits, "val"; see `hold_out` for the others.
        n: how many images; None is the whole split. Of a set that is read, `n` images are picked
            at random by `seed`.
        seed: scene-digits: seed of the drawing. Others: seed of the pick.
        root: the folder that holds the set; None is `$PARTLIB_DATA`, or `~/.cache/partlib`.

    Returns:
        An `ImageSet`: images float32 (N, 3, H, W) in [0, 1], labels int64 (N,), masks or None.

    Raises:
        ValueError: an argument is not one of those above; it is named with the value found.
        FileNotFoundError: the set is missing or damaged and cannot be downloaded; says what is
            missing, where it was looked for, and what to do.
    """
    if name not in NAMES:
        raise ValueError(f"name: one of {', '.join(NAMES)} is needed, found {name!r}")
    if split not in NAMES[name]:
        hint = "; see partlib.data.hold_out" if split == "val" else ""
        raise ValueError(f"split: {name} has {', '.join(NAMES[name])}, found {split!r}{hint}")
    if n is not None and n < 1:
        raise ValueError(f"n: at least 1 is needed, found {n!r}")
    if seed < 0:
        raise ValueError(f"seed: 0 or more is needed, found {seed!r}")
    if name == "scene-digits":
        return scene_digits.load(split, n=n, seed=seed)
    whole = cifar10.load(split, root=find_root(root))
    return whole if n is None else _pick(whole, n, seed)


def find_root(root: str | Path | None = None) -> Path:
    """The folder that data sets are read from: `root`, `$PARTLIB_DATA` or `~/.cache/partlib`."""
    chosen = root or os.environ.get("PARTLIB_DATA") or Path.home() / ".cache" / "partlib"
    return Path(chosen).expanduser()


def found(root: str | Path | None = None) -> dict[str, str]:
    """Where each data set is on this machine, or that it is not there."""
    where = cifar10.folder(find_root(root))
    return {
        "scene-digits": "embedded",
        "cifar10": str(where) if where.is_dir() else f"not at {where}",
    }


def hold_out(images: ImageSet, n: int, *, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Split a training set in two: all but `n` images, and `n` images to make choices on.

    Raises:
        ValueError: `n` leaves one of the two empty.
    """
    if not 0 < n < len(images):
        raise ValueError(f"n: between 1 and {len(images) - 1} is needed, found {n!r}")
    order = _order(len(images), seed)
    return images[order[n:]], images[order[:n]]


def _pick(whole: ImageSet, n: int, seed: int) -> ImageSet:
    if n > len(whole):
        raise ValueError(f"n: {whole.name} {whole.split} has {len(whole)} images, found {n!r}")
    return whole[_order(len(whole), seed)[:n]]


def _order(n: int, seed: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
