"""CIFAR-10 through torchvision, which compares every file with its published md5 before reading."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CIFAR10

from partlib.data.imageset import ImageSet

SPLITS = {"train": True, "test": False}
CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def load(split: str, *, root: Path) -> ImageSet:
    """Read a split whole: "train" (50,000 images) or "test" (10,000), 32 x 32 RGB, ten classes.

    Reads `root/cifar-10-batches-py`; where a file is missing or damaged the set is downloaded.

    Raises:
        FileNotFoundError: the set is not at `root`, or damaged, and could not be downloaded.
    """
    try:
        source = CIFAR10(str(root), train=SPLITS[split], download=False)
    except RuntimeError:
        source = _download(split, root)
    return ImageSet(
        name="cifar10",
        split=split,
        pixels=torch.from_numpy(np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))),
        labels=torch.tensor(source.targets, dtype=torch.int64),
        class_names=CLASS_NAMES,
    )


def folder(root: Path) -> Path:
    """Where the set's files are below a root."""
    return root / str(CIFAR10.base_folder)


def _download(split: str, root: Path) -> CIFAR10:
    where = folder(root)
    found = sorted(p.name for p in where.iterdir()) if where.is_dir() else []
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Unpacked aside, as other processes may do the same; each file then appears whole.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as part:
            if (archive := root / CIFAR10.filename).exists():
                (Path(part) / archive.name).symlink_to(archive.resolve())
            CIFAR10(part, download=True)
            where.mkdir(exist_ok=True)
            for path in folder(Path(part)).iterdir():
                os.replace(path, where / path.name)
        return CIFAR10(str(root), train=SPLITS[split], download=False)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"CIFAR-10 is missing or damaged: looked in {where} and found "
            f"{', '.join(found) or 'nothing'}; downloading it failed ({error}). "
            f"Put {CIFAR10.filename} (md5 {CIFAR10.tgz_md5}), unpacked, into {root}, or pass the "
            "folder that holds cifar-10-batches-py as root= or in $PARTLIB_DATA."
        ) from error
