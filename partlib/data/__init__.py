"""Data: labelled images in [0, 1], from an embedded set that needs no network to benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

from partlib.data import cifar10, scene_digits, svhn, tiny_imagenet
from partlib.data.augment import shift_and_flip
from partlib.data.imageset import ImageSet, choose, to_float

__all__ = [
    "NAMES",
    "SIDES",
    "ImageSet",
    "class_names",
    "find_root",
    "found",
    "hold_out",
    "load",
    "shift_and_flip",
    "to_float",
]

NAMES = {
    "scene-digits": tuple(scene_digits.DEFAULT_N),
    "cifar10": tuple(cifar10.SPLITS),
    "svhn": svhn.SPLITS,
    "tiny-imagenet": tuple(tiny_imagenet.PER_CLASS),
}
"""The data sets and their splits."""

SIDES = {"scene-digits": 32, "cifar10": 32, "svhn": 32, "tiny-imagenet": 64}
"""How many pixels wide and high their images are."""


def load(
    name: str,
    split: str,
    *,
    n: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    verify: bool = True,
) -> ImageSet:
    """Load a split of a data set.

    Args:
        name: "scene-digits" (embedded: drawn, not read), "cifar10", "svhn" (both 32 x 32, ten
            classes) or "tiny-imagenet" (64 x 64, 200 classes).
        split: "train", "test", for svhn also "extra", and for scene-digits "val"; see `hold_out`
            for the others. Tiny-ImageNet's "test" is its published validation part.
        n: how many images; None is the whole split. Of a set that is read, `n` images are picked
            at random by `seed`.
        seed: scene-digits: seed of the drawing. Others: seed of the pick.
        root: the folder that holds the set; None is `$PARTLIB_DATA`, or `~/.cache/partlib`.
        verify: whether svhn and tiny-imagenet must be the published sets. False also reads sets
            that were cut on purpose; then the set's `note` says so. CIFAR-10 is always verified.

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
    if n is not None and not (isinstance(n, int) and n >= 1):
        raise ValueError(f"n: at least 1 is needed, found {n!r}")
    _check_seed(seed)
    if name == "scene-digits":
        return scene_digits.load(split, n=n, seed=seed)
    folder = find_root(root)
    if name == "tiny-imagenet":
        return tiny_imagenet.load(split, root=folder, n=n, seed=seed, verify=verify)
    if name == "svhn":
        whole = svhn.load(split, root=folder, verify=verify)
    else:
        whole = cifar10.load(split, root=folder)
    return whole if n is None else whole[choose(len(whole), n, seed, of=f"{name} {split}")]


def find_root(root: str | Path | None = None) -> Path:
    """The folder that data sets are read from: `root`, `$PARTLIB_DATA` or `~/.cache/partlib`."""
    chosen = root or os.environ.get("PARTLIB_DATA") or Path.home() / ".cache" / "partlib"
    return Path(chosen).expanduser()


def found(root: str | Path | None = None) -> dict[str, str]:
    """Where each data set is on this machine, or that it is not there."""
    folder = find_root(root)
    where = cifar10.folder(folder)
    return {
        "scene-digits": "embedded",
        "cifar10": str(where) if where.is_dir() else f"not at {where}",
        "svhn": svhn.found(folder),
        "tiny-imagenet": tiny_imagenet.found(folder),
    }


def class_names(name: str, num_classes: int) -> tuple[str, ...]:
    """The names of a set's classes, as far as they are known without the set.

    Args:
        name: a data set; of tiny-imagenet, and with another number of classes than the set has,
            the names are "class 0", "class 1", ...
        num_classes: K, how many names are needed.

    Raises:
        ValueError: `num_classes` is not a whole number, 1 or more.
    """
    if not (isinstance(num_classes, int) and num_classes >= 1):
        raise ValueError(f"num_classes: 1 or more is needed, found {num_classes!r}")
    known = {"scene-digits": scene_digits, "cifar10": cifar10, "svhn": svhn}
    if name in known and len(known[name].CLASS_NAMES) == num_classes:
        return tuple(known[name].CLASS_NAMES)
    return tuple(f"class {i}" for i in range(num_classes))


def hold_out(images: ImageSet, n: int, *, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Split a training set in two: all but `n` images, and `n` images to make choices on.

    Args:
        images: the set.
        n: how many images to hold out, picked at random.
        seed: seed of the pick.

    Raises:
        ValueError: `n` leaves one of the two empty.
    """
    if not (isinstance(n, int) and 0 < n < len(images)):
        raise ValueError(f"n: between 1 and {len(images) - 1} is needed, found {n!r}")
    _check_seed(seed)
    order = choose(len(images), len(images), seed, of=images.name)
    return images[order[n:]], images[order[:n]]


def _check_seed(seed: int) -> None:
    if not (isinstance(seed, int) and seed >= 0):
        raise ValueError(f"seed: 0 or more is needed, found {seed!r}")
