"""What attacks refuse: bad images, labels and outputs, each named with what was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from partlib import budgets
from partlib.budgets import Budget

WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class NotFiniteError(ValueError):
    """The model gave NaN or infinity, as one does whose training diverged."""


def inputs(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    """Check what every attack is given; the budget as a tensor that broadcasts to x.

    Raises:
        ValueError: names `model`, `x`, `y` or `eps` and what was found.
    """
    module(model)
    images(x)
    labels(y, x)
    return budgets.check(eps, x)


def module(model: nn.Module) -> None:
    """Refuse what is no network of torch, such as a function."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: a torch.nn.Module is needed, found {type(model).__name__}")


def images(x: Tensor, *, beyond: float = 0) -> None:
    """Refuse what is not a batch of images in [0, 1], or up to so much beyond it."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: a float tensor in [0, 1] is needed, found {found}")
    if x.dtype not in (torch.float32, torch.float64):  # rounding would leave the budget
        raise ValueError(f"x: float32 or float64 is needed, found {x.dtype}")
    if x.dim() != 4:
        raise ValueError(f"x: the shape (N, C, H, W) is needed, found {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(f"x: at least one image is needed, found the shape {tuple(x.shape)}")
    low, high = (v.item() for v in x.detach().aminmax())
    if not -beyond <= low <= high <= 1 + beyond:  # NaN fails here too
        raise ValueError(
            f"x: values in [0, 1] are needed, found {low} to {high}; "
            "put any normalisation inside the model"
        )


def labels(y: Tensor, x: Tensor) -> None:
    """Refuse what is not one whole number an image."""
    if not isinstance(y, Tensor) or y.dtype not in WHOLE:
        found = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y: a tensor of whole numbers is needed, found {found}")
    if y.shape != x.shape[:1]:
        raise ValueError(
            f"y: one label an image, shape {tuple(x.shape[:1])}, is needed, found {tuple(y.shape)}"
        )
    if y.device != x.device:
        raise ValueError(f"y: labels on {x.device}, as the images, are needed, found {y.device}")


def step(step_size: float) -> None:
    """Refuse a step that is not a positive, finite number."""
    if not isinstance(step_size, (int, float)) or not 0 < step_size < float("inf"):
        raise ValueError(f"step_size: a value above 0 is needed, found {step_size!r}")


def count(name: str, value: int, *, least: int) -> None:
    """Refuse what is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: a whole number, {least} or more, is needed, found {value!r}")


def source(generator: torch.Generator | None, x: Tensor) -> torch.Generator:
    """The generator on x's device, by default a fresh one with seed 0."""
    if generator is None:
        return torch.Generator(device=x.device).manual_seed(0)
    if not isinstance(generator, torch.Generator) or generator.device.type != x.device.type:
        found = getattr(generator, "device", type(generator).__name__)
        raise ValueError(f"generator: a torch.Generator on {x.device} is needed, found {found}")
    return generator


@contextmanager
def taken(model: nn.Module, x: Tensor) -> Iterator[None]:
    """Inside runs only the model; where it fails, that is said of the images that it was given.

    Raises:
        ValueError: names `x`.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError) as error:
        weight = next(model.parameters(), x)
        if weight.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"model: weights in float32 or float64 are needed, found {weight.dtype}"
            ) from error
        if (weight.dtype, weight.device) != (x.dtype, x.device):
            raise ValueError(
                f"x: {weight.dtype} on {weight.device}, as the model's weights, is needed, found "
                f"{x.dtype} on {x.device}"
            ) from error
        raise ValueError(
            f"x: images that the model can take are needed, found {x.dtype} of shape "
            f"{tuple(x.shape)} ({error})"
        ) from error


def first_logits(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The model's logits for images that it has not seen yet, checked.

    Raises:
        ValueError: names `x`, if the model cannot take it, or `model` or `y` as `check_logits`.
    """
    with taken(model, x):
        logits: Tensor = model(x.clone())  # some models normalise in place
    check_logits(logits, y)
    if torch.is_grad_enabled() and x.requires_grad and not logits.requires_grad:
        raise ValueError("model: logits with a gradient are needed, found none")
    return logits


def check_logits(logits: Tensor, y: Tensor) -> None:
    """Refuse what is not a row of finite logits an image, or labels that have no logit.

    Raises:
        NotFiniteError: a ValueError; the logits are NaN or infinite.
        ValueError: names `model` or `y` and what was found.
    """
    if y.dim() != 1 or len(y) == 0 or y.is_floating_point() or y.is_complex():
        raise ValueError(f"y: one label an image is needed, found {y.dtype} {tuple(y.shape)}")
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(y):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model: logits of shape ({len(y)}, K) are needed, found {found}")
    classes = logits.shape[1]
    if classes < 2:
        raise ValueError(f"model: logits for at least 2 classes are needed, found {classes}")
    if logits.is_complex():
        raise ValueError(f"model: real logits are needed, found {logits.dtype}")
    values = logits.detach().float()
    sums_to_1 = ((values.sum(dim=1) - 1).abs() < 1e-3).all()
    facts = (values.isfinite().all(), (values >= 0).all() & sums_to_1, *y.long().aminmax())
    # Asked for together, since a GPU is waited for each time.
    finite, shares, low, high = torch.stack([v.to(values.device).long() for v in facts]).tolist()
    if not finite:
        raise NotFiniteError("model: finite logits are needed, found NaN or infinity")
    if shares:
        raise ValueError(
            "model: logits are needed, found probabilities (rows that are not negative and sum "
            "to 1); leave out the softmax"
        )
    if low < 0 or high >= classes:
        raise ValueError(f"y: labels in [0, {classes}) are needed, found {low} to {high}")
