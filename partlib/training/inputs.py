"""What a training refuses before it begins."""

from __future__ import annotations

import torch
from torch import nn

from partlib.attacks import checks
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.preserve import untouched
from partlib.training import processes
from partlib.training.config import TrainConfig
from partlib.training.precision import mixed_precision


def check(
    model: nn.Module,
    train_set: ImageSet,
    method: Method,
    config: TrainConfig,
    *,
    val_set: ImageSet | None,
    max_batches: int | None,
) -> None:
    """Refuse what `fit` cannot train with; its arguments are `fit`'s.

    Raises:
        ValueError: names the argument and what was found.
    """
    if method.control is not None and processes.size() > 1:
        raise ValueError(f"method: {method.name} is trained by one process alone")
    if len(train_set) == 0:
        raise ValueError("train_set: at least one image is needed, found none")
    if max_batches is not None:
        checks.count("max_batches", max_batches, least=1)
    if val_set is None and config.patience:
        raise ValueError(f"patience: a val_set is needed for it, found none and {config.patience}")
    if val_set is not None and len(val_set) == 0:
        raise ValueError("val_set: at least one image is needed, found none")
    _check_labels(model, train_set, config)


def _check_labels(model: nn.Module, train_set: ImageSet, config: TrainConfig) -> None:
    """Refuse labels that have no logit, which a loss on a GPU would stop at without a word."""
    x = train_set[:1].images.to(next(model.parameters()))
    with untouched(model), torch.no_grad(), mixed_precision(x.device, config.precision):
        classes = model(x).shape[1]
    low, high = (int(value) for value in train_set.labels.aminmax())
    if not 0 <= low <= high < classes:
        raise ValueError(f"train_set: labels in [0, {classes}) are needed, found {low} to {high}")
