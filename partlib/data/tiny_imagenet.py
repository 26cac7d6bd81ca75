"""Tiny-ImageNet (Le and Yang, 2015), read in place from its zip or from the unpacked folder.

Nothing is extracted, so no member of an archive can be written anywhere; an archive that holds a
name outside its own folder is refused all the same.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from partlib.data.files import download, is_published
from partlib.data.imageset import ImageSet, choose

NAME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{NAME}.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
PER_CLASS = {"train": 500, "test": 50}
CLASSES = 200
SIDE = 64
HELP = "Pass verify=False (--no-verify) to read a set that was cut on purpose."


def load(
    split: str, *, root: Path, n: int | None = None, seed: int = 0, verify: bool = True
) -> ImageSet:
    """Read a split: 64 x 64 RGB images in 200 classes, numbered in the order of `wnids.txt`.

    Reads `root/tiny-imagenet-200.zip` or the unpacked folder `root/tiny-imagenet-200`, and
    downloads the zip where neither is there. Greyscale images become RGB. Decoding the 100,000
    training images takes about half a minute on two cores.

    Args:
        split: "train" (100,000 images) or "test" (10,000), which is the published validation
            part, as is usual: the labels of the published test part are not public.
        root: the folder that data sets are read from.
        n: how many images, picked at random; only they are decoded. None is all.
        seed: seed of the pick.
        verify: whether the zip must be the published one, by its md5, and a folder whole, by its
            counts. False reads any number of classes and images, also from one zip of a longer
            name (`tiny-imagenet-200*.zip`); nothing is downloaded, and the set's `note` says
            what it is.

    Raises:
        FileNotFoundError: no such file, or one that is damaged, cut, or not the published one.
        ValueError: `n` is more than there are.
    """
    where = _find(root, verify=verify)
    zipped = where.is_file()
    if verify and zipped and not is_published(where, MD5):
        raise FileNotFoundError(
            f"Tiny-ImageNet is damaged or cut: {where} has not the md5 of the published zip, "
            f"{MD5}. Delete it to have it downloaded again. {HELP}"
        )
    with _open(where) as source:
        wnids = _wnids(source)
        files, labels = (_train if split == "train" else _validation)(source, wnids)
        counts = Counter(labels)
        even = all(counts[i] == PER_CLASS[split] for i in range(len(wnids)))
        whole = len(wnids) == CLASSES and even
        if verify and not whole:
            raise FileNotFoundError(
                f"Tiny-ImageNet is damaged or cut: {where} has {len(wnids)} classes and "
                f"{len(files):,} {split} images of {CLASSES} and "
                f"{CLASSES * PER_CLASS[split]:,}. {HELP}"
            )
        note = "" if whole else f"Tiny-ImageNet, {len(wnids)} classes"
        if not even:
            note += f", {len(files):,} {split} images"
        picked = choose(len(files), n, seed, of=f"tiny-imagenet {split}")
        return ImageSet(
            name="tiny-imagenet",
            split=split,
            pixels=_decode(source, [files[i] for i in picked.tolist()]),
            labels=torch.tensor(labels)[picked],
            class_names=_class_names(source, wnids),
            note=note,
        )


def found(root: Path) -> str:
    """Where the set is below a root, or that it is not there."""
    for path in (root / f"{NAME}.zip", root / NAME):
        if path.exists():
            return str(path)
    if cuts := sorted(root.glob(f"{NAME}*.zip")):
        return f"{', '.join(map(str, cuts))} (a cut, to be read without verifying)"
    return f"not at {root / NAME}.zip"


@dataclass(frozen=True)
class _Source:
    """The set's files by their names inside it, wherever they are."""

    where: Path
    names: frozenset[str]
    read: Callable[[str], bytes]

    def lines(self, name: str) -> list[str]:
        if name not in self.names:
            raise self.damaged(f"has no {name}")
        return self.read(name).decode("utf-8", errors="replace").splitlines()

    def damaged(self, how: str) -> FileNotFoundError:
        return FileNotFoundError(f"Tiny-ImageNet is damaged: {self.where} {how}")


def _find(root: Path, *, verify: bool) -> Path:
    for path in (root / f"{NAME}.zip", root / NAME):
        if path.exists():
            return path
    if verify:
        try:
            download(URL, root / f"{NAME}.zip", MD5)
            return root / f"{NAME}.zip"
        except (OSError, RuntimeError) as error:
            why = f"Downloading it failed ({error})"
    else:
        cuts = sorted(root.glob(f"{NAME}*.zip"))
        if len(cuts) == 1:
            return cuts[0]
        why = f"Of a cut one zip is needed, found {len(cuts)}"
    raise FileNotFoundError(
        f"Tiny-ImageNet is missing: looked for {NAME}.zip and {NAME}/ in {root}: "
        f"{found(root)}. {why}. "
        f"Put {NAME}.zip (md5 {MD5}) there, or pass the folder that holds it as root= or in "
        f"$PARTLIB_DATA. {HELP}"
    )


@contextmanager
def _open(where: Path) -> Iterator[_Source]:
    if where.is_dir():
        names = (Path(folder, name) for folder, _, files in os.walk(where) for name in files)
        inside = frozenset(path.relative_to(where).as_posix() for path in names)
        yield _Source(where, inside, lambda name: (where / name).read_bytes())
        return
    try:
        archive = zipfile.ZipFile(where)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"Tiny-ImageNet is damaged: {where} is no whole zip ({error})"
        ) from error
    with archive:
        members = archive.namelist()
        for name in members:
            if PurePosixPath(name).is_absolute() or re.search(r"[\\:]|(^|/)\.\.(/|$)", name):
                raise FileNotFoundError(
                    f"Tiny-ImageNet: {where} holds {name!r}, a name outside its own folder, and "
                    "is refused whole"
                )
        inside = frozenset(
            name.removeprefix(f"{NAME}/") for name in members if name.startswith(f"{NAME}/")
        )
        yield _Source(where, inside, lambda name: _read(archive, name))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(f"{NAME}/{name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"Tiny-ImageNet is damaged: {archive.filename} holds {name}, which cannot be read "
            f"({error})"
        ) from error


def _wnids(source: _Source) -> list[str]:
    wnids = [line.strip() for line in source.lines("wnids.txt") if line.strip()]
    for wnid in wnids:
        if not re.fullmatch(r"n\d{8}", wnid):
            raise source.damaged(f"has {wnid!r} in wnids.txt, where such as n01443537 is needed")
    if len(set(wnids)) != len(wnids) or len(wnids) < 2:
        raise source.damaged(
            f"needs at least two different classes in wnids.txt, found {len(wnids)} of which "
            f"{len(set(wnids))} differ"
        )
    return wnids


def _train(source: _Source, wnids: list[str]) -> tuple[list[str], list[int]]:
    """The training images' names and labels, class by class."""
    by_class: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    for name in source.names:
        match = re.fullmatch(r"train/(n\d{8})/images/[^/]+\.JPEG", name)
        if match and match[1] in by_class:
            by_class[match[1]].append(name)
    for wnid, names in by_class.items():
        if not names:
            raise source.damaged(f"has no images in train/{wnid}/images")
    rows = [(name, i) for i, wnid in enumerate(wnids) for name in sorted(by_class[wnid])]
    return [name for name, _ in rows], [label for _, label in rows]


def _validation(source: _Source, wnids: list[str]) -> tuple[list[str], list[int]]:
    """The validation images' names and labels, in the order of their list."""
    label = {wnid: i for i, wnid in enumerate(wnids)}
    files, labels = [], []
    for line in source.lines("val/val_annotations.txt"):
        file, wnid, *_ = [*line.split("\t"), "", ""]
        if wnid not in label:
            continue  # of a class that was cut
        if f"val/images/{file}" not in source.names:
            raise source.damaged(f"has no val/images/{file}, which val_annotations.txt lists")
        files.append(f"val/images/{file}")
        labels.append(label[wnid])
    if not files:
        raise source.damaged("lists no image of its classes in val/val_annotations.txt")
    return files, labels


def _class_names(source: _Source, wnids: list[str]) -> tuple[str, ...]:
    """Each class's first name in words.txt, or its wnid where it has none."""
    words: dict[str, str] = {}
    if "words.txt" in source.names:
        for line in source.lines("words.txt"):
            wnid, _, names = line.partition("\t")
            words[wnid] = names.split(",")[0].strip()
    return tuple(words.get(wnid) or wnid for wnid in wnids)


def _decode(source: _Source, files: list[str]) -> torch.Tensor:
    """Pixels uint8 (N, 3, 64, 64)."""
    pixels = np.empty((len(files), 3, SIDE, SIDE), np.uint8)

    def fill(i: int) -> None:
        content = io.BytesIO(source.read(files[i]))
        try:
            with Image.open(content, formats=["JPEG"]) as image:
                size, rgb = image.size, image.convert("RGB") if image.size == (SIDE, SIDE) else None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise source.damaged(f"holds {files[i]}, which cannot be read ({error})") from error
        if rgb is None:
            raise source.damaged(f"holds {files[i]} of {size[0]} x {size[1]}, not {SIDE} x {SIDE}")
        pixels[i] = np.asarray(rgb).transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(len(files))))  # a list, so that what is raised is seen
    return torch.from_numpy(pixels)
