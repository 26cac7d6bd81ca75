"""The fast gradient sign method and projected gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks import checks
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
        x: images (N, C, H, W), float32 or float64 in [0, 1].
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
    random_start: bool | Start | Tensor = True,
    restarts: int = 1,
    loss: Loss = "ce",
    update: Update = "clamp",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent (Madry et al., 2018): many small sign steps, each projected.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), float32 or float64 in [0, 1].
        y: labels (N,), whole numbers in [0, K).
        eps: the budget, a float or a tensor that broadcasts to x, in [0, 1].
        step_size: how far a pixel moves in one step, above 0.
        steps: how many steps, 0 or more.
        random_start: True or "uniform" starts anywhere in the budget, "normal" from
            0.001 N(0, 1) as TRADES does, False from x itself, and a tensor of x's shape from x
            plus that tensor. Every start is brought into the budget. "kl" has no gradient at x
            and is not ascended from there.
        restarts: how many starts, at least 1; for each image the worst end is kept.
        loss: "ce" is cross-entropy, "margin" the largest wrong logit minus the right one
            (Carlini and Wagner, 2017), "kl" the divergence KL(p(x) || p(x_adv)) from the clean
            prediction (TRADES, Zhang et al., 2019), or a callable from logits (N, K) and labels
            (N,) to losses (N,). The gradient is that of the sum over the batch, so an image's
            attack does not depend on its neighbours.
        update: "clamp" projects each step onto the per-pixel box. "multiply" is the form in
            which PART is stated (Zhang et al., 2024), delta <- m * Proj[delta + step]: project
            onto the image's largest budget, then scale by m = eps / that. Both end in the same
            box; they differ only where an image's budget is not the same everywhere. There
            steps of size a take "multiply" no further than m a / (1 - m), which is less than the
            budget if a is smaller than the largest budget minus it.
        generator: source of the random start, on x's device. None is a fresh one with seed 0,
            so that the same call gives the same result; the global random state is not used.

    Returns:
        Adversarial images of x's shape and dtype, at most eps from x at every pixel.

    Raises:
        ValueError: an argument is not as above, or the model's outputs are not logits.
    """
    budget = checks.inputs(model, x, y, eps)
    checks.step(step_size)
    checks.count("steps", steps, least=0)
    checks.count("restarts", restarts, least=1)
    if isinstance(random_start, Tensor):
        _check_offset(random_start, x)
    _check_choices(random_start, loss, update)
    generator = checks.source(generator, x)
    x, y, step_size = x.detach(), y.long(), float(step_size)
    with untouched(model), gradients_on():
        x, y, budget = x.clone(), y.clone(), budget.clone()  # never inference tensors
        objective = _objective(loss, model, x, y)
        worst: Tensor | None = None
        for _ in range(restarts):
            x_adv = _start(x, budget, random_start, generator)
            x_adv = _ascend(model, x, x_adv, y, budget, objective, step_size, steps, update)
            if restarts == 1:
                return x_adv
            fooled, height = _badness(model, x_adv, y, objective)
            if worst is None:
                worst, most_fooled, highest = x_adv, fooled, height
            else:
                better = (fooled & ~most_fooled) | ((fooled == most_fooled) & (height > highest))
                worst[better], highest[better] = x_adv[better], height[better]
                most_fooled |= fooled
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
    peaks = []
    for step in range(steps):
        x_adv.requires_grad_(True)
        logits = model(x_adv.clone()) if step else checks.first_logits(model, x_adv, y)
        (gradient,) = torch.autograd.grad(objective(logits, y).sum(), x_adv)
        peaks.append(gradient.amax() + logits.detach().amax())  # NaN if there is one in either
        x_adv = x_adv.detach() + step_size * gradient.sign()
        if update == "multiply":
            delta = torch.minimum(torch.maximum(x_adv - x, -widest), widest)
            x_adv = x + weight * delta
        x_adv = torch.minimum(torch.maximum(x_adv, low), high)
    if peaks and torch.stack(peaks).isnan().any():  # its sign is 0, and the image would stay
        raise checks.NotFiniteError("model: logits and gradients without NaN are needed, found NaN")
    return x_adv


def noise(start: Start, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """The noise of a random start, in float32, so that it does not depend on the images' type.

    Args:
        start: "uniform" in [-1, 1), for the budget to scale, or "normal", 0.001 N(0, 1).
        shape: of the images.
        generator: the random source; the noise is on its device.

    Raises:
        ValueError: an unknown start.
    """
    if start not in ("uniform", "normal"):
        raise ValueError(f'start: "uniform" or "normal" is needed, found {start!r}')
    if start == "normal":
        return 0.001 * torch.randn(shape, generator=generator, device=generator.device)
    return 2 * torch.rand(shape, generator=generator, device=generator.device) - 1


def _start(
    x: Tensor, budget: Tensor, random_start: bool | Start | Tensor, generator: torch.Generator
) -> Tensor:
    if isinstance(random_start, Tensor):
        offset = random_start.detach().to(x)
    elif not random_start:
        return x.clone()
    elif random_start == "normal":
        offset = noise("normal", x.shape, generator).to(x.dtype)
    else:
        offset = budget * noise("uniform", x.shape, generator).to(x.dtype)
    return (x + torch.minimum(torch.maximum(offset, -budget), budget)).clamp(0, 1)


def _objective(
    loss: Loss, model: nn.Module, x: Tensor, y: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss (N,) to ascend, as a function of logits and labels."""
    if loss == "ce":
        return lambda logits, y: F.cross_entropy(logits, y, reduction="none")
    if loss == "margin":
        return _margin
    if loss == "kl":
        with torch.no_grad():  # once a batch: the clean prediction does not move
            clean = log_softmax(checks.first_logits(model, x, y))
        return lambda logits, y: F.kl_div(
            log_softmax(logits), clean, log_target=True, reduction="none"
        ).sum(dim=1)
    assert callable(loss)
    return partial(_one_an_image, loss)


def _one_an_image(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, y: Tensor) -> Tensor:
    """The caller's loss; with one number for the batch no image could keep its own worst end."""
    value = loss(logits, y)
    if not isinstance(value, Tensor) or value.shape != y.shape:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"loss: one number an image, ({len(y)},), is needed, found {found}")
    return value


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """The largest wrong logit minus the right one (N,); above 0 where the prediction is wrong.

    Raises:
        ValueError: `logits` is not (N, K), or `y` is not a label in [0, K) of type int64 for each.
    """
    if logits.dim() != 2 or logits.shape[1] < 2 or not logits.is_floating_point():
        found = f"{logits.dtype} {tuple(logits.shape)}"
        raise ValueError(f"logits: floats (N, K), K at least 2, are needed, found {found}")
    if y.shape != logits.shape[:1] or y.dtype != torch.int64:
        raise ValueError(f"y: int64 ({len(logits)},) is needed, found {y.dtype} {tuple(y.shape)}")
    if len(y) and not 0 <= y.min() <= y.max() < logits.shape[1]:
        raise ValueError(f"y: labels in [0, {logits.shape[1]}) are needed, found others")
    return _margin(logits, y)


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    right = F.one_hot(y, logits.shape[1]).bool()
    wrong = logits.masked_fill(right, -torch.inf).amax(dim=1)
    return wrong - logits.gather(1, y[:, None])[:, 0]


def _badness(
    model: nn.Module, x_adv: Tensor, y: Tensor, objective: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """How bad an end is (N,): first whether the prediction is wrong, then the loss."""
    with torch.no_grad():
        logits = checks.first_logits(model, x_adv, y)
        return _margin(logits, y) > 0, objective(logits, y)


def log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities (N, K), in float32 at least: a divergence is lost in bfloat16."""
    return F.log_softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _check_offset(offset: Tensor, x: Tensor) -> None:
    if offset.shape != x.shape or not offset.isfinite().all():
        found = tuple(offset.shape) if offset.shape != x.shape else "NaN or infinity"
        raise ValueError(
            f"random_start: finite values of shape {tuple(x.shape)} are needed, found {found}"
        )


def _check_choices(random_start: object, loss: object, update: object) -> None:
    offset = random_start if isinstance(random_start, Tensor) else None
    if offset is None and random_start not in (True, False, "uniform", "normal"):
        raise ValueError(
            f'random_start: True, False, "uniform" or "normal" is needed, found {random_start!r}'
        )
    if not callable(loss) and loss not in ("ce", "kl", "margin"):
        raise ValueError(f'loss: "ce", "kl", "margin" or a callable is needed, found {loss!r}')
    if loss == "kl" and not (random_start if offset is None else offset.any()):
        found = repr(random_start) if offset is None else "zeros"
        raise ValueError(
            'random_start: a start away from x is needed for the loss "kl", whose gradient is '
            f"zero at x, found {found}"
        )
    if update not in ("clamp", "multiply"):
        raise ValueError(f'update: "clamp" or "multiply" is needed, found {update!r}')
