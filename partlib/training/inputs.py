"""What a training refuses before it begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from partlib.attacks import checks
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.preserve import seeded, untouched
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
    weights = next(model.parameters(), None)
    if weights is None:
        raise ValueError(f"model: weights are needed, found none in {type(model).__name__}")
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError("model: weights that require gradients are needed, found all frozen")
    if method.steps and weights.dtype not in (torch.float32, torch.float64):  # which attacks need
        raise ValueError(f"model: weights in float32 or float64 are needed, found {weights.dtype}")
    x = train_set[:1].images.to(weights)
    with seeded(config.seed), mixed_precision(x.device, config.precision):
        _check_labels("train_set", model, x, train_set)
        if val_set is not None:
            _check_labels("val_set", model, x, val_set)
        if (rule := getattr(method.rule, "check", None)) is not None:
            rule(model, x)
        if method.control is not None:  # with a warm-up the first map is late to miss true masks
            whole = x.new_full((1, 1, *x.shape[2:]), method.eps)
            method.control(whole, train_set[:1].masks, None)


def laid_out(model: nn.Module, train_set: ImageSet, config: TrainConfig) -> torch.memory_format:
    """Put a model into the memory layout that it is trained in, and say which.

    It is `torch.channels_last`, the faster one, unless the model can take images alone as they come
    from a set, as one that flattens maps by `view`; then its weights are made contiguous. No value
    changes, and no random state.

    Args:
        model: one that has taken an image of the set as it comes, see `check`.
        train_set: at least one image, on the model's device.
        config: for its precision.
    """
    x = train_set[:2].images.to(next(model.parameters()))
    try:
        model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        exact = mixed_precision(x.device, config.precision)
        with seeded(config.seed), untouched(model), torch.no_grad(), exact:
            model(x)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # if it is of another kind, training meets it too
        model.to(memory_format=torch.contiguous_format)
        return torch.contiguous_format
    return torch.channels_last


def _check_labels(name: str, model: nn.Module, x: Tensor, images: ImageSet) -> None:
    """Refuse labels that have no logit, which a loss on a GPU would stop at without a word."""
    with untouched(model), torch.no_grad():
        classes = model(x).shape[1]
    low, high = (int(value) for value in images.labels.aminmax())
    if not 0 <= low <= high < classes:
        raise ValueError(f"{name}: labels in [0, {classes}) are needed, found {low} to {high}")
