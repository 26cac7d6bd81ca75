"""Attacks: plain functions of a model, images, labels and a budget that return adversarial images.

All of them keep two promises. Every adversarial pixel stays within its own budget and in [0, 1].
And the model is left as it was found: modes, `requires_grad`, `.grad`, BatchNorm statistics, and
the global random state, also when an attack raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import budgets
from partlib.budgets import Budget
from partlib.preserve import gradients_on, untouched

Loss = Literal["ce", "kl", "margin"] | Callable[[Tensor, Tensor], Tensor]
"""What an attack ascends; a callable maps logits (N, K) and labels (N,) to losses (N,)."""
Start = Literal["uniform", "normal"]
Update = Literal["clamp", "multiply"]


def fgsm(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    """The fast gradient sign method (Goodfellow et al., 2015): x + eps sign(grad_x CE), clamped.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), floats in [0, 1].
        y: labels (N,), whole numbers in [0, K).
        eps: the budget, a float or a tensor that broadcasts to x, in [0, 1].

    Returns:
        Adversarial images of x's shape and dtype, at most eps from x at every pixel.

    Raises:
        ValueError: an argument is not as above, or the model's outputs are not logits.
    """
    return pgd(model, x, y, eps, step_size=1.0, steps=1, random_start=False)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Budget,
    *,
    step_size: float,
    steps: int,
    random_start: bool | Start = True,
    restarts: int = 1,
    loss: Loss = "ce",
    update: Update = "clamp",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent (Madry et al., 2018): many small sign steps, each projected.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), floats in [0, 1].
        y: labels (N,), whole numbers in [0, K).
        eps: the budget, a float or a tensor that broadcasts to x, in [0, 1].
        step_size: how far a pixel moves in one step, above 0.
        steps: how many steps, 0 or more.
        random_start: True or "uniform" starts anywhere in the budget, "normal" from
            0.001 N(0, 1) as TRADES does, False from x itself. Every start is in the budget.
        restarts: how many starts, at least 1; for each image the worst end is kept.
        loss: "ce" is cross-entropy, "margin" the largest wrong logit minus the right one
            (Carlini and Wagner, 2017), "kl" the divergence KL(p(x) || p(x_adv)) from the clean
            prediction (TRADES, Zhang et al., 2019). The gradient is its sum over the batch, so an
            image's attack does not depend on its neighbours.
        update: "clamp" projects each step onto the per-pixel box. "multiply" is the form in
            which PART is stated (Zhang et al., 2024), delta <- m * Proj[delta + step]: project
            onto the image's largest budget, then scale by m = eps / that. Both end in the same
            box; they differ only where an image's budget is not the same everywhere.
        generator: source of the random start, on x's device. None is a fresh one with seed 0,
            so that the same call gives the same result; the global random state is not used.

    Returns:
        Adversarial images of x's shape and dtype, at most eps from x at every pixel.

    Raises:
        ValueError: an argument is not as above, or the model's outputs are not logits.
    """
    _check_images(x)
    _check_labels(y, x)
    budget = budgets.check(eps, x)
    _check_settings(step_size, steps, random_start, restarts, loss, update)
    x, y = x.detach(), y.long()
    if generator is None:
        generator = torch.Generator(device=x.device).manual_seed(0)
    with untouched(model), gradients_on():
        x, y, budget = x.clone(), y.clone(), budget.clone()  # never inference tensors
        objective = _objective(loss, model, x, y)
        worst: Tensor | None = None
        for _ in range(restarts):
            x_adv = _start(x, budget, random_start, generator)
            x_adv = _ascend(model, x, x_adv, y, budget, objective, step_size, steps, update)
            if restarts == 1:
                return x_adv
            score = _badness(model, x_adv, y, objective)
            if worst is None:
                worst, worst_score = x_adv, score
            else:
                better = (score > worst_score).nonzero()[:, 0]
                worst[better], worst_score[better] = x_adv[better], score[better]
        assert worst is not None
        return worst


def _ascend(
    model: nn.Module,
    x: Tensor,
    x_adv: Tensor,
    y: Tensor,
    budget: Tensor,
    objective: Callable[[Tensor, Tensor], Tensor],
    step_size: float,
    steps: int,
    update: Update,
) -> Tensor:
    """`steps` signed gradient steps up the objective, each brought back into the budget."""
    low, high = (x - budget).clamp(min=0), (x + budget).clamp(max=1)
    if update == "multiply":
        widest = budget.expand_as(x).amax(dim=(1, 2, 3), keepdim=True)
        weight = torch.where(widest > 0, budget / widest, 0)
    for step in range(steps):
        x_adv.requires_grad_(True)
        logits = model(x_adv)
        if step == 0:
            check_logits(logits, y)
        (gradient,) = torch.autograd.grad(objective(logits, y).sum(), x_adv)
        x_adv = x_adv.detach() + step_size * gradient.sign()
        if update == "multiply":
            delta = torch.minimum(torch.maximum(x_adv - x, -widest), widest)
            x_adv = x + weight * delta
        x_adv = torch.minimum(torch.maximum(x_adv, low), high)
    return x_adv


def _start(
    x: Tensor, budget: Tensor, random_start: bool | Start, generator: torch.Generator
) -> Tensor:
    if not random_start:
        return x.clone()
    # Noise is drawn in float32 whatever the images' type, so that a start does not depend on it.
    if random_start == "normal":
        noise = 0.001 * torch.randn(x.shape, generator=generator, device=x.device)
        noise = torch.minimum(torch.maximum(noise.to(x.dtype), -budget), budget)
    else:
        noise = 2 * torch.rand(x.shape, generator=generator, device=x.device) - 1
        noise = budget * noise.to(x.dtype)
    return (x + noise).clamp(0, 1)


def _objective(
    loss: Loss, model: nn.Module, x: Tensor, y: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss (N,) to ascend, as a function of logits and labels."""
    if loss == "ce":
        return lambda logits, y: F.cross_entropy(logits, y, reduction="none")
    if loss == "margin":
        return margin
    if loss == "kl":
        with torch.no_grad():  # once a batch: the clean prediction does not move
            clean = F.log_softmax(model(x), dim=1)
        return lambda logits, y: F.kl_div(
            F.log_softmax(logits, dim=1), clean, log_target=True, reduction="none"
        ).sum(dim=1)
    assert callable(loss)
    return loss


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """The largest wrong logit minus the right one (N,); above 0 where the prediction is wrong."""
    right = F.one_hot(y, logits.shape[1]).bool()
    wrong = logits.masked_fill(right, -torch.inf).amax(dim=1)
    return wrong - logits.gather(1, y[:, None])[:, 0]


def _badness(
    model: nn.Module, x_adv: Tensor, y: Tensor, objective: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """A score (N,) that puts any wrong prediction above any right one, then goes by the loss."""
    with torch.no_grad():
        logits = model(x_adv)
        check_logits(logits, y)
        fooled = margin(logits, y) > 0
        # The arctangent keeps the order of losses and bounds them.
        return fooled * 4.0 + objective(logits, y).atan()


def _check_images(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: a float tensor in [0, 1] is needed, found {found}")
    if x.dim() != 4:
        raise ValueError(f"x: the shape (N, C, H, W) is needed, found {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(f"x: at least one image is needed, found the shape {tuple(x.shape)}")
    low, high = (v.item() for v in x.detach().aminmax())
    if not 0 <= low <= high <= 1:  # NaN fails here too
        raise ValueError(
            f"x: values in [0, 1] are needed, found {low} to {high}; "
            "put any normalisation inside the model"
        )


def _check_labels(y: Tensor, x: Tensor) -> None:
    if not isinstance(y, Tensor) or y.dtype not in (torch.int64, torch.int32, torch.uint8):
        found = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y: a tensor of whole numbers is needed, found {found}")
    if y.shape != x.shape[:1]:
        raise ValueError(
            f"y: one label an image, shape ({len(x)},), is needed, found {tuple(y.shape)}"
        )


def _check_settings(
    step_size: float, steps: int, random_start: object, restarts: int, loss: object, update: object
) -> None:
    if not 0 < step_size < float("inf"):
        raise ValueError(f"step_size: a value above 0 is needed, found {step_size!r}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps: a whole number, 0 or more, is needed, found {steps!r}")
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 1:
        raise ValueError(f"restarts: a whole number, 1 or more, is needed, found {restarts!r}")
    if random_start not in (True, False, "uniform", "normal"):
        raise ValueError(
            f'random_start: True, False, "uniform" or "normal" is needed, found {random_start!r}'
        )
    if not callable(loss) and loss not in ("ce", "kl", "margin"):
        raise ValueError(f'loss: "ce", "kl", "margin" or a callable is needed, found {loss!r}')
    if update not in ("clamp", "multiply"):
        raise ValueError(f'update: "clamp" or "multiply" is needed, found {update!r}')


def check_logits(logits: Tensor, y: Tensor) -> None:
    """Refuse what is not a row of finite logits an image, or labels that have no logit.

    Raises:
        ValueError: names `model` or `y` and what was found.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(y):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model: logits of shape ({len(y)}, K) are needed, found {found}")
    classes = logits.shape[1]
    if classes < 2:
        raise ValueError(f"model: logits for at least 2 classes are needed, found {classes}")
    values = logits.detach().float()
    if not values.isfinite().all():
        raise ValueError("model: finite logits are needed, found NaN or infinity")
    if (values >= 0).all() and ((values.sum(dim=1) - 1).abs() < 1e-3).all():
        raise ValueError(
            "model: logits are needed, found probabilities (rows that are not negative and sum "
            "to 1); leave out the softmax"
        )
    low, high = y.min().item(), y.max().item()
    if low < 0 or high >= classes:
        raise ValueError(f"y: labels in [0, {classes}) are needed, found {low} to {high}")
