"""The released CIFAR-10-C arrays, where somebody has put them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from partlib.corruptions.table import row
from partlib.data import ImageSet, cifar10, find_root

FOLDER = "CIFAR-10-C"
IMAGES = 10_000  # of CIFAR-10's test set, once a severity


def load_cifar10c(root: str | Path | None, name: str, severity: int) -> ImageSet:
    """Read a severity of a released array of CIFAR-10-C (Zenodo, doi:10.5281/zenodo.2535967).

    Args:
        root: the folder that holds `CIFAR-10-C`; None is `$PARTLIB_DATA` or `~/.cache/partlib`.
        name: one of `corruptions.NAMES`.
        severity: 1 to 5.

    Returns:
        The 10,000 test images of CIFAR-10, in their order, with that corruption.

    Raises:
        ValueError: an argument is not one of those above, or a file does not hold the array that
            it should; says what it holds.
        FileNotFoundError: there is no such file; says where it was looked for and what to do.
    """
    row(name, severity)
    folder = find_root(root) / FOLDER
    rows = slice((severity - 1) * IMAGES, severity * IMAGES)
    pixels = _read(folder / f"{name}.npy", (5 * IMAGES, 32, 32, 3), np.uint8)[rows]
    labels = _read(folder / "labels.npy", (5 * IMAGES,), np.integer)[rows].astype(np.int64)
    if not 0 <= labels.min() <= labels.max() < 10:
        found = f"{labels.min()} to {labels.max()} in {folder / 'labels.npy'}"
        raise ValueError(f"root: labels in [0, 10) are needed, found {found}")
    return ImageSet(
        name=f"cifar10-c/{name}/{severity}",
        split="test",
        pixels=torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
        labels=torch.from_numpy(labels),
        class_names=cifar10.CLASS_NAMES,
    )


def _read(path: Path, shape: tuple[int, ...], dtype: type[Any]) -> npt.NDArray[Any]:
    """An array that stays in its file; only what is taken from it is read."""
    if not path.is_file():
        raise FileNotFoundError(
            f"CIFAR-10-C is missing: found no {path}. Unpack CIFAR-10-C.tar of Zenodo record "
            f"2535967 and pass the folder that holds {FOLDER} as root= or in $PARTLIB_DATA."
        )
    wanted = f"root: {dtype.__name__} {shape} is needed"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{wanted}, found no readable array in {path} ({error})") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{wanted}, found {type(array).__name__} in {path}")
    if array.shape != shape or not np.issubdtype(array.dtype, dtype):
        raise ValueError(f"{wanted}, found {array.dtype} {array.shape} in {path}")
    return array
