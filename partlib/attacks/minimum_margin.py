"""The minimum-margin attack: one short attack for each of the likeliest wrong classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks import checks
from partlib.attacks.gradient import Start, margin, pgd
from partlib.budgets import Budget
from partlib.preserve import gradients_on, untouched


def mma(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Budget,
    *,
    k: int = 3,
    steps: int = 20,
    step_size: float = 2 / 255,
    random_start: bool | Start = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The minimum-margin attack (Gao et al., 2022) with steps of a fixed size.

    For each image the k wrong classes of the largest clean logits are targets. PGD ascends the
    margin of each target over the label, z_t - z_y, and of the k ends the one with the largest
    margin of any wrong class is kept, so a wrong prediction always beats a right one. PART's
    tables are of this form (k = 3, 20 steps) but for two things: its code gives all targets one
    random start, and compares ends by the margin of their own target. The evaluator of the
    attack's authors adapts its steps.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), float32 or float64 in [0, 1].
        y: labels (N,), whole numbers in [0, K).
        eps: the budget, a float or a tensor that broadcasts to x, in [0, 1].
        k: how many targets, at least 1; all K - 1 wrong classes if there are fewer. They are
            attacked in one batch of k N images.
        steps: how many steps, 0 or more.
        step_size: how far a pixel moves in one step, above 0.
        random_start: as in `pgd`, but no tensor, drawn anew for each target.
        generator: as in `pgd`.

    Returns:
        Adversarial images of x's shape and dtype, at most eps from x at every pixel.

    Raises:
        ValueError: an argument is not as above, or the model's outputs are not logits.
    """
    budget = checks.inputs(model, x, y, eps)
    checks.count("k", k, least=1)
    if isinstance(random_start, Tensor):
        raise ValueError('random_start: a bool, "uniform" or "normal" is needed, found a tensor')
    with untouched(model), gradients_on():
        images, labels = x.detach().clone(), y.long().clone()  # never inference tensors
        with torch.no_grad():
            clean = checks.first_logits(model, images, labels)
        k = min(k, clean.shape[1] - 1)
        right = F.one_hot(labels, clean.shape[1]).bool()
        targets = clean.masked_fill(right, -torch.inf).topk(k).indices.flatten()[:, None]
        labels = labels.repeat_interleave(k)
        ends = pgd(
            model,
            images.repeat_interleave(k, dim=0),
            labels,
            budget.expand_as(x).repeat_interleave(k, dim=0),
            step_size=step_size,
            steps=steps,
            random_start=random_start,
            loss=lambda logits, y: (logits.gather(1, targets) - logits.gather(1, y[:, None]))[:, 0],
            generator=generator,
        )
        with torch.no_grad():
            logits = checks.first_logits(model, ends, labels)
            worst = margin(logits, labels).view(-1, k).argmax(dim=1)
    return ends[worst + k * torch.arange(len(x), device=x.device)]
