"""The losses that the weights descend in training, each (model, x, x_adv, y) to a scalar.

With it they return the logits of the images that are trained on: the adversarial ones, where
there are any. Probabilities are taken in float32 at least, also inside mixed precision.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks.gradient import log_softmax

Outer = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""The loss that the weights descend: (model, x, x_adv, y) to a scalar, and the logits it is of."""


def natural(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy on the images as they are.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W).
        x_adv: their adversarial images, not used.
        y: labels (N,).

    Returns:
        The mean loss, and the logits (N, K) of x.
    """
    logits = model(x)
    return F.cross_entropy(logits, y), logits


def adversarial(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy on the adversarial images (Madry et al., 2018, equation 2.1).

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), not used.
        x_adv: their adversarial images.
        y: labels (N,).

    Returns:
        The mean loss, and the logits (N, K) of x_adv.
    """
    logits = model(x_adv)
    return F.cross_entropy(logits, y), logits


def trades(beta: float) -> Outer:
    """CE(p(x), y) + beta KL(p(x) || p(x_adv)) (TRADES, Zhang et al., 2019).

    The gradient goes through both predictions, as in the authors' code.
    """

    def loss(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        # Two batches, not one of twice the size: batch normalisation sees each by itself. A clone,
        # since some models normalise in place, and without a budget x_adv is x.
        clean, logits = log_softmax(model(x.clone())), model(x_adv)
        apart = F.kl_div(log_softmax(logits), clean, log_target=True, reduction="batchmean")
        return F.nll_loss(clean, y) + beta * apart, logits

    return loss


def mart(beta: float) -> Outer:
    """BCE(p(x_adv), y) + beta KL(p(x) || p(x_adv)) (1 - p_y(x)) (MART, Wang et al., 2020).

    BCE(p, y) = -log p_y - log(1 - max of the wrong p) is their boosted cross-entropy, and the
    last factor weighs by how little the clean image is known. The logarithm of 1 - p is taken as
    the logarithm of the sum of all other probabilities, so it needs none of the small constants
    that the authors' code adds.
    """

    def loss(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        clean, logits = log_softmax(model(x.clone())), model(x_adv)
        adversarial = log_softmax(logits)
        right = F.one_hot(y, logits.shape[1]).bool()
        wrong = adversarial.masked_fill(right, -float("inf")).argmax(dim=1, keepdim=True)
        others = adversarial.scatter(1, wrong, -float("inf")).logsumexp(dim=1)
        boosted = F.nll_loss(adversarial, y) - others.mean()
        apart = F.kl_div(adversarial, clean, log_target=True, reduction="none").sum(dim=1)
        unknown = 1 - clean.gather(1, y[:, None])[:, 0].exp()
        return boosted + beta * (apart * unknown).mean(), logits

    return loss
