"""What is looked at after each epoch: validation, which epoch is best, and whether to go on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from partlib import attacks
from partlib.data import ImageSet
from partlib.preserve import full_precision, untouched
from partlib.training import processes
from partlib.training.config import TrainConfig

Row = dict[str, float]
"""One epoch of a history."""

BATCH = 250
JUDGED = 1_000
"""Epochs of fewer images are too short to tell a collapse from a start."""


def validate(model: nn.Module, val_set: ImageSet, eps: float) -> Row:
    """Accuracies in percent on a validation set, in float32, the model left as it was found.

    Args:
        model: maps images in [0, 1] to logits.
        val_set: images that are neither trained nor tested on, on the model's device.
        eps: the budget at every pixel; 0 attacks nothing.

    Returns:
        "val_natural", and with a budget "val_robust": under PGD of ten steps of eps / 4, the same
        whatever the method trains on. It starts from the image itself, so that the choice of an
        epoch depends on the weights alone.

    Raises:
        FloatingPointError: the model gives NaN or infinity.
    """
    mine = val_set[processes.rank() :: processes.size()]
    dtype = next(model.parameters()).dtype
    right = torch.zeros(2, dtype=torch.int64, device=mine.labels.device)
    for start in range(0, len(mine), BATCH):
        batch = mine[start : start + BATCH]
        x, y = batch.images.to(dtype), batch.labels
        with full_precision(x.device):
            right[0] += _right(model, x, y)
            if eps:
                x = attacks.pgd(model, x, y, eps, step_size=eps / 4, steps=10, random_start=False)
                right[1] += _right(model, x, y)
    natural, robust = (100 * processes.total(right) / len(val_set)).tolist()
    return {"val_natural": natural, "val_robust": robust} if eps else {"val_natural": natural}


def best_epoch(history: Sequence[Row]) -> int:
    """The epoch, from 1, that is best on the validation set: robust where that was measured.

    Of equals it is the first.

    Raises:
        ValueError: the history has no validation accuracies.
    """
    if not history or "val_natural" not in history[0]:
        raise ValueError("history: validation accuracies are needed, found none")
    scores = [row.get("val_robust", row["val_natural"]) for row in history]
    return 1 + scores.index(max(scores))


def finished(history: Sequence[Row], config: TrainConfig) -> bool:
    """Whether all epochs are done, or the last so many brought nothing better."""
    if len(history) >= config.epochs:
        return True
    if not config.patience or not history:
        return False
    return len(history) - best_epoch(history) >= config.patience


def check(history: Sequence[Row], labels: Tensor, seen: int, config: TrainConfig) -> None:
    """Stop a run that is lost.

    It is where the loss is no number any more, or where the network gives all images one class. As
    hard starts and growing budgets take their time, that must last: for a tenth of all epochs, and
    three at least, after it knew better; for half of them, and five at least, from the first on.

    Args:
        history: the epochs so far.
        labels: of the training set, for the accuracy of a network that says one class.
        seen: images an epoch.
        config: the settings, to say what to try.

    Raises:
        FloatingPointError: says what was found, and what to try.
    """
    advice = (
        f"try a lower lr (it is {config.lr}), a longer ramp ({config.ramp}) or clip=1 (it is "
        f"{config.clip})"
    )
    row = history[-1]
    if not math.isfinite(row["loss"]):
        raise FloatingPointError(f"the loss is {row['loss']} in epoch {len(history)}: {advice}")
    chance = labels.bincount().max().item() / len(labels)
    if seen < JUDGED or chance > 0.9:
        return
    stuck = 0
    while stuck < len(history) and history[-1 - stuck].get("one_class", 0) >= 99:
        stuck += 1
    sure = 100 * (chance + 5 * math.sqrt(chance * (1 - chance) / seen))
    knew = any(row["accuracy"] > sure for row in history[: len(history) - stuck])
    if stuck >= (max(3, config.epochs // 10) if knew else max(5, config.epochs // 2)):
        raise FloatingPointError(
            f"the network gives all images one class for {stuck} epochs (accuracy "
            f"{row['accuracy']:.1f} %, by chance {100 * chance:.1f} %), it has collapsed: {advice}"
        )


def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with untouched(model), torch.no_grad():
        logits = model(x.clone())  # some models normalise in place
        if not logits.isfinite().all():
            raise FloatingPointError("the network gives NaN or infinity: try a lower lr or clip=1")
        right: Tensor = (logits.argmax(dim=1) == y).sum()
        return right
