"""Which run a checkpoint is of: all that the weights at its end follow from."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from partlib import checkpoints
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.training.config import TrainConfig


def identity(
    train_set: ImageSet,
    method: Method,
    config: TrainConfig,
    *,
    val_set: ImageSet | None,
    max_batches: int | None,
) -> dict[str, Any]:
    """What makes a run this one and no other, as JSON gives it back.

    Functions count by their names and by the plain values that they were made with, such as the
    beta of `losses.trades(beta)`; what else they do belongs in the method's settings.

    The weights that it began with are not asked for: whoever draws them without a seed could not
    go on.

    Args:
        train_set: the images.
        method: how to train.
        config: everything else.
        val_set: the images to choose on.
        max_batches: where each epoch stops.

    Raises:
        ValueError: names a part of the run that JSON cannot hold, and its value.
    """
    found = {
        "train_set": _of_images(train_set),
        "val_set": None if val_set is None else _of_images(val_set),
        "max_batches": max_batches,
        **{f"config.{name}": value for name, value in config.record().items()},
        **{f"method.{part.name}": _plain(getattr(method, part.name)) for part in fields(method)},
    }
    return {name: _as_json(name, value) for name, value in found.items()}


def check(checkpoint: Path, run: dict[str, Any]) -> None:
    """Refuse the checkpoint of another run.

    Args:
        checkpoint: the file.
        run: the `identity` of this run.

    Raises:
        ValueError: names `checkpoint` and each part of the run that differs.
    """
    found = checkpoints.read_meta(checkpoint, name="checkpoint").get("run", {})
    if "train_set" not in found:
        raise ValueError(
            f"checkpoint: {checkpoint} does not say which images its run is of, as an older "
            "version wrote it; train anew with another file"
        )
    found = {"precision": run["precision"], **found}  # of which older ones do not say
    apart = [
        f"{part} is {found.get(part)!r} there and {run.get(part)!r} here"
        for part in sorted({**found, **run})
        if found.get(part) != run.get(part)
    ]
    if apart:
        raise ValueError(f"checkpoint: {checkpoint} is of another run: {'; '.join(apart)}")


def _as_json(name: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: what JSON can hold is needed for a checkpoint, found {value!r}"
        ) from error


def _of_images(images: ImageSet) -> str:
    tensors = {"pixels": images.pixels, "labels": images.labels}
    if images.object_pixels is not None:
        tensors["object_pixels"] = images.object_pixels
    named = f"{images.name} {images.split} {images.note}".strip()
    return f"{named}, {len(images)} images, sha256 {checkpoints.tensors_sha256(tensors)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return f"sha256 {checkpoints.tensors_sha256({'': value})}"
    if callable(value):
        return _of_function(value)
    return dict(value) if isinstance(value, Mapping) else value


def _of_function(function: Any) -> list[Any]:
    """Its name, and the plain values that it was made with."""
    if isinstance(function, partial):
        around = [*function.args, *function.keywords.values()]
        named = _of_function(function.func)
    else:
        function = inspect.unwrap(function)
        around = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        owner = function if hasattr(function, "__qualname__") else type(function)
        named = [f"{owner.__module__}.{owner.__qualname__}"]
    return named + [value for value in around if isinstance(value, (int, float, str))]
