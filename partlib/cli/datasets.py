"""The command `data`: where each set is, what it holds, and how it looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from partlib import data, show
from partlib.cli.image import write
from partlib.data import ImageSet

SHEET = 20  # images on the contact sheet


def data_command(
    name: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(data.NAMES)} [default: list them].")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The folder with the data sets.")] = None,
    verify: Annotated[
        bool, typer.Option(help="Whether the set must be the published one, by its md5.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="The contact sheet to write [default: NAME.png].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Say where the data sets are; of one, read it whole, check it and write a contact sheet.

    A set that is missing is downloaded. With --no-verify a set that was cut on purpose is read.

    For example:

    python -m partlib data

    python -m partlib data cifar10

    python -m partlib data svhn --no-verify --out svhn.png
    """
    places = data.found(root)
    if name is None:
        if as_json:
            print(json.dumps({"root": str(data.find_root(root)), "found": places}))
            return
        for key, where in places.items():
            print(f"{key:14} {where}")
        return
    splits = [split for split in data.NAMES.get(name, ("train",)) if split != "extra"]
    sets = [data.load(name, split, root=root, verify=verify) for split in splits]
    path = out or Path(f"{name}.png")
    write({"sheet": path}, {"sheet": _sheet(sets[-1]).png})
    record: dict[str, Any] = {
        "name": name,
        "where": data.found(root)[name],
        "verified": all(not images.note for images in sets),
        "splits": {images.split: _about(images) for images in sets},
        "classes": list(sets[0].class_names),
        "sheet": str(path),
    }
    if as_json:
        print(json.dumps(record))
        return
    print(f"{'where':10} {record['where']}")
    for split, about in record["splits"].items():
        shape = " x ".join(map(str, about["shape"][1:]))
        print(
            f"{split:10} {about['shape'][0]:,} images, {shape}, {about['mib']:,.0f} MiB, "
            f"{about['per_class'][0]:,} to {about['per_class'][1]:,} a class"
            + (f" ({about['note']})" if about["note"] else "")
        )
    shown = sets[0].class_names[:10]
    more = "" if len(shown) == len(sets[0].class_names) else ", ..."
    print(f"{'classes':10} {len(sets[0].class_names)}: {', '.join(shown)}{more}")
    print(f"{'verified':10} {'yes' if record['verified'] else 'no, not the published set'}")
    print(f"contact sheet of {sets[-1].split} images written to {path}")


def _about(images: ImageSet) -> dict[str, Any]:
    counts = images.labels.bincount(minlength=len(images.class_names))
    return {
        "shape": list(images.pixels.shape),
        "mib": round(images.pixels.numel() / 2**20, 1),
        "per_class": [int(counts.min()), int(counts.max())],
        "masks": images.object_pixels is not None,
        "note": images.note,
    }


def _sheet(images: ImageSet) -> show.Picture:
    """The first images of a set under their classes."""
    some = images[:SHEET]
    names = [images.class_names[label] for label in some.labels.tolist()]
    alt = f"The first {len(some)} {images.split} images of {images.name}: {', '.join(names)}"
    return show.draw_images(some.images, alt=alt, titles=names, columns=5)
