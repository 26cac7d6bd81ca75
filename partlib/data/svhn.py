"""SVHN's cropped digits (Netzer et al., 2011), from their .mat files or from a cut of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torchvision.datasets import SVHN

from partlib.data.files import download, is_published
from partlib.data.imageset import ImageSet

SPLITS = ("train", "test", "extra")
CUTS = {"train": "train_first*.mat", "test": "train_next*.mat"}
CLASS_NAMES = tuple("0123456789")


def load(split: str, *, root: Path, verify: bool = True) -> ImageSet:
    """Read a split whole: 32 x 32 RGB crops of house numbers, the middle digit is the class.

    Reads `train_32x32.mat` (73,257 images), `test_32x32.mat` (26,032) or `extra_32x32.mat`
    (531,131) from `root/svhn` or from `root`, and downloads it where it is missing. In the files
    the digit 0 has the label 10; here it has 0.

    Args:
        split: "train", "test" or "extra".
        root: the folder that data sets are read from.
        verify: whether the file must be the published one, by its md5. False also reads other
            files of that name, and, where there is none, a cut of the training set into
            `train_first*.mat` to train and `train_next*.mat` to test; nothing is downloaded, and
            the set's `note` says what it is. What is not verified must come from someone you trust.

    Raises:
        FileNotFoundError: no file, or one that is damaged or not the published one.
    """
    _, name, md5 = SVHN.split_list[split]
    path = _find(split, root, verify=verify)
    published = is_published(path, md5)
    if verify and not published:
        raise FileNotFoundError(
            f"SVHN is damaged or cut: {path} has not the md5 of the published {name}, {md5}. "
            "Delete it to have it downloaded again, or pass verify=False (--no-verify) to read a "
            "set that was cut on purpose."
        )
    pixels, labels = _read(path)
    note = "" if published else f"SVHN, {len(labels):,} images, not verified"
    if path.name != name:
        note = f"SVHN, first {_size_of_cut(path.parent):,} images"
    return ImageSet(
        name="svhn",
        split=split,
        pixels=pixels,
        labels=labels,
        class_names=CLASS_NAMES,
        note=note,
    )


def found(root: Path) -> str:
    """Where the set's files are below a root, or that they are not there."""
    for folder in _folders(root):
        if files := sorted(p.name for split in SPLITS for p in folder.glob(f"{split}_32x32.mat")):
            return f"{folder}: {', '.join(files)}"
        if files := sorted(p.name for cut in CUTS.values() for p in folder.glob(cut)):
            return f"{folder}: {', '.join(files)} (a cut, to be read without verifying)"
    return f"not at {root / 'svhn'}"


def _folders(root: Path) -> tuple[Path, Path]:
    return root / "svhn", root


def _find(split: str, root: Path, *, verify: bool) -> Path:
    """The file of a split, downloaded if need be."""
    url, name, md5 = SVHN.split_list[split]
    cut = "" if verify else CUTS.get(split, "")
    for pattern in [name, cut] if cut else [name]:
        for folder in _folders(root):
            paths = sorted(folder.glob(pattern))
            if len(paths) > 1:
                raise FileNotFoundError(
                    f"SVHN: one {pattern} is needed, found {', '.join(p.name for p in paths)} "
                    f"in {folder}"
                )
            if paths:
                return Path(paths[0])
    why = "With verify=False nothing is downloaded"
    if verify:
        try:
            download(url, root / "svhn" / name, md5)
            return root / "svhn" / str(name)
        except (OSError, RuntimeError) as error:
            why = f"Downloading it failed ({error})"
    names = " or ".join([name, cut] if cut else [name])
    places = " and ".join(str(folder) for folder in _folders(root))
    raise FileNotFoundError(
        f"SVHN is missing: looked for {names} in {places}: {found(root)}. {why}. "
        f"Put {name} (md5 {md5}) into {root / 'svhn'}, or pass the folder above as root= or in "
        "$PARTLIB_DATA; a cut of the set is read with verify=False (--no-verify)."
    )


def _read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels uint8 (N, 3, 32, 32) and labels int64 (N,) of one file."""
    try:
        content = loadmat(str(path), variable_names=["X", "y"])
        images, labels = content["X"], content["y"].reshape(-1)
    except Exception as error:  # of a damaged file scipy may raise anything
        raise FileNotFoundError(f"SVHN is damaged: {path} cannot be read ({error})") from error
    if images.ndim == 3:
        images = images[..., None]  # MATLAB drops the last axis of a single image
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)) or not len(labels):
        raise FileNotFoundError(
            f"SVHN is damaged: {path} needs X uint8 (32, 32, 3, N) and y (N, 1), found "
            f"{images.dtype} {images.shape} and {content['y'].shape}"
        )
    if labels.min() < 1 or labels.max() > 10:
        raise FileNotFoundError(
            f"SVHN is damaged: {path} needs labels from 1 to 10 (10 is the digit 0), found "
            f"{labels.min()} to {labels.max()}"
        )
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1)))
    return pixels, torch.from_numpy(labels.astype(np.int64) % 10)


def _size_of_cut(folder: Path) -> int:
    """How many images the two files of a cut have together."""
    paths = (path for cut in CUTS.values() for path in folder.glob(cut))
    return sum(len(_read(path)[1]) for path in paths)
