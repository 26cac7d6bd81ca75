"""AutoAttack, the field's standard ensemble, with guards around the reference implementation."""

from __future__ import annotations

import sys
from typing import Literal

import torch
from torch import Tensor, nn

from partlib.attacks import checks
from partlib.budgets import Budget
from partlib.preserve import full_precision, gradients_on, seeded, untouched

Version = Literal["standard", "plus", "rand"]
LEAST_CLASSES = {"standard": 4, "plus": 4, "rand": 3}  # as many logits as the DLR loss compares


def autoattack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Budget,
    *,
    version: Version = "standard",
    batch_size: int = 250,
    seed: int = 0,
) -> Tensor:
    """AutoAttack (Croce and Hein, 2020), run by the package `pyautoattack`.

    "standard" runs APGD on cross-entropy, then, each on the images that still hold, targeted
    APGD, targeted FAB (nine targets, or all K - 1) and Square (5,000 queries). The two APGDs and
    FAB take 100 iterations. That matters: some re-implementations default to 10, which leaves
    more images standing and is not comparable with published figures.

    What the package has to say about the model (randomness, zero gradients, Square stronger
    than the gradients) it logs as warnings of the logger "auto-attack".

    Args:
        model: maps images in [0, 1] to logits (N, K), K at least 4 (3 for "rand").
        x: images (N, C, H, W), float32 or float64 in [0, 1]. They are attacked in float32.
        y: labels (N,), whole numbers in [0, K).
        eps: the budget in [0, 1], the same at every pixel: FAB and the step sizes know one
            norm, not a map.
        version: "standard", "plus" (more restarts, and the untargeted losses) or "rand" (for
            randomised models).
        batch_size: images at a time.
        seed: of all random choices. The global random state is as it was afterwards.

    Returns:
        Adversarial images of x's shape and dtype, at most eps from x at every pixel; an image
        on which every attack failed, or which was misread from the start, is x itself. For the
        accuracy predict again.

    Raises:
        ValueError: an argument is not as above, or the model's outputs are not logits.
        ImportError: `pyautoattack` is missing, from the extra "eval".
        RuntimeError: the package broke its promise and left the budget or [0, 1].
    """
    budget = checks.inputs(model, x, y, eps)
    size, largest = (v.item() for v in budget.aminmax())
    if size != largest:
        raise ValueError(
            "eps: one budget for all pixels is needed, AutoAttack's FAB knows no map; found "
            f"{size} to {largest}"
        )
    if version not in LEAST_CLASSES:
        raise ValueError(f'version: "standard", "plus" or "rand" is needed, found {version!r}')
    checks.count("batch_size", batch_size, least=1)
    checks.count("seed", seed, least=0)
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        raise ImportError(
            'autoattack needs the package pyautoattack: pip install "partlib[eval]"'
        ) from error

    clean, labels, wide = x.detach().float().contiguous(), y.long(), _Float32(model)
    with untouched(model), gradients_on(), seeded(seed), full_precision(x.device):
        with torch.no_grad():
            for images, some in zip(clean.split(batch_size), labels.split(batch_size), strict=True):
                classes = checks.first_logits(wide, images, some).shape[1]
        if classes < LEAST_CLASSES[version]:
            raise ValueError(
                f"model: logits for at least {LEAST_CLASSES[version]} classes are needed for the "
                f"DLR loss of {version!r}, found {classes}"
            )
        if size == 0:
            return x.detach().clone()
        attack = AutoAttack(wide, eps=size, device=x.device, version=version, seed=seed)
        targets = min(9, classes - 1)
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = targets
        tracer = sys.gettrace()
        try:
            x_adv, _ = attack.run_standard_evaluation(clean, labels, batch_size=batch_size)
        finally:
            sys.settrace(tracer)  # a check of the package's ends any debugger or coverage
    held = (x_adv == clean).flatten(1).all(dim=1)[:, None, None, None]
    found = torch.where(held, x.detach(), x_adv.to(x.dtype))  # x has digits that float32 has not
    within = (found - x).abs() <= size + 1e-6
    if not (within & (found >= 0) & (found <= 1)).all():
        raise RuntimeError(f"autoattack: pyautoattack left the budget of {size} or [0, 1]")
    return found


class _Float32(nn.Module):
    """A model that the package can take: float32 in and out, whatever the weights are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x.to(next(self.model.parameters(), x).dtype, copy=True))
        return logits.float()
