"""What this machine has, and how long adversarial training takes on it, by scale of the book."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import replace
from typing import Any

import torch

from partlib import data, environment, models, runs, training
from partlib.recipes import Recipe
from partlib.scale import SCALES, Scale

PROBE_BATCHES = 3


def report(*, probe: bool = True) -> dict[str, Any]:
    """Versions, device, data sets found, and the minutes of one adversarial training by scale.

    Args:
        probe: whether to time a few training steps of the scales that fit the device, see
            `fitting`, some seconds on a CPU; without it there are no minutes.

    Returns:
        A dictionary that prints as the command `python -m partlib doctor`.
    """
    device = runs.best_device()
    about = environment.describe(device)
    timed = fitting(device) if probe else {}
    return {
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "device": f"{device.type}: {about['device']}",
        "threads": about["threads"],
        "precision": "bf16" if training.uses_bf16(device, "auto") else "fp32",
        "versions": about["versions"],
        "data_root": str(data.find_root()),
        "data": data.found(),
        "minutes_to_train_at": {
            name: round(minutes(one.recipe, device), 1) if name in timed else None
            for name, one in SCALES.items()
        },
    }


def fitting(device: torch.device) -> dict[str, Scale]:
    """The scales that a device is fit for: without a GPU the two larger ones would take days."""
    return {name: one for name, one in SCALES.items() if device.type != "cpu" or name == "cpu"}


def welcome() -> str:
    """What a reader on a machine lent by the hour is told first: device, minutes at each scale.

    Takes some seconds, in which a few training steps are timed.
    """
    device = runs.best_device()
    lines = [f"This machine has {environment.describe(device)['device']}."]
    for name, one in fitting(device).items():
        lines.append(
            f'SCALE = "{name}": one adversarial training run takes about '
            f"{max(1, round(minutes(one.recipe, device)))} minutes."
        )
    if device.type == "cpu":
        lines.append(
            'There is no GPU: leave SCALE at "cpu", where the networks come trained. '
            "On Colab, Runtime > Change runtime type has GPUs."
        )
    return "\n".join(lines)


def minutes(recipe: Recipe, device: torch.device) -> float:
    """Minutes that one adversarial training run of a recipe takes, from a few timed steps."""
    n = recipe.config.batch_size
    n_train, side = TRAIN_SETS[recipe.data], data.SIDES[recipe.data]
    images = data.load("scene-digits", "train", n=n).to(device)  # speed depends on size alone
    pixels = images.pixels.repeat(1, 1, side // 32, side // 32)
    images = replace(images, pixels=pixels, object_pixels=None)
    model = models.build(recipe.network, 10, seed=0).to(device)
    # Epochs of one step: the first warms up, and on a GPU records the passes of the attack.
    config = recipe.with_config(epochs=1 + PROBE_BATCHES, ramp=0.0).config
    history = training.fit(model, images, recipe.method("at"), config, progress=False)
    step = statistics.median(row["seconds"] for row in history[1:])
    return step * recipe.config.epochs * n_train / n / 60


TRAIN_SETS = {
    "scene-digits": 10_000,
    "cifar10": 50_000,
    "svhn": 73_257,
    "tiny-imagenet": 100_000,
}
"""How many images there are to train on."""
