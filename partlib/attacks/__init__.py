"""Attacks: plain functions of a model, images, labels and a budget that return adversarial images.

All of them keep two promises. Every adversarial pixel stays within its own budget and in [0, 1].
And the model is left as it was found: modes, `requires_grad`, `.grad`, BatchNorm statistics, and
the global random state (but for what a model itself draws), also when an attack raises.
One at a time: of two threads with the same model, the later puts back what the earlier had set.
"""

from partlib.attacks.checks import check_logits
from partlib.attacks.ensemble import autoattack
from partlib.attacks.gradient import Loss, Start, Update, fgsm, margin, noise, pgd
from partlib.attacks.minimum_margin import mma

__all__ = [
    "Loss",
    "Start",
    "Update",
    "autoattack",
    "check_logits",
    "fgsm",
    "margin",
    "mma",
    "noise",
    "pgd",
]
