"""Class activation maps, and the rule that turns a map into a mask of important pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.models import PooledLinear
from partlib.preserve import gradients_on, untouched


def grad_cam(model: nn.Module, x: Tensor, target: Tensor | None = None) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2017), a batch at a time, without hooks.

    Each channel of the last feature map is weighed by the mean gradient of the target's logit
    over that channel; the weighted sum, cut at zero, is resized to the image (bilinear) and
    divided by its own maximum. Where the head is global average pooling and one linear layer the
    weights are the classifier's row over the map's area, and no backward pass is needed.

    Args:
        model: exposes `features` (images to the last map) and `head` (that map to logits), as
            all of `partlib.models` do. Left as it was found.
        x: images (N, C, H, W), floats in [0, 1].
        target: class of each map, (N,); None is the model's own prediction.

    Returns:
        Heat (N, H, W), float32 in [0, 1]; all zeros where nothing speaks for the class.

    Raises:
        ValueError: a model without `features` and `head`, or a target that is not one class an
            image.
    """
    features, head = getattr(model, "features", None), getattr(model, "head", None)
    if not callable(features) or not callable(head):
        raise ValueError(
            f"model: one with features and head is needed, found {type(model).__name__}"
        )
    with untouched(model), gradients_on():
        with torch.no_grad():
            maps = features(x.detach().clone())
            logits = head(maps)
        target = logits.argmax(dim=1) if target is None else _check_target(target, logits)
        if isinstance(head, PooledLinear):
            weights = head.linear.weight.detach()[target] / maps[0, 0].numel()
        else:
            maps.requires_grad_(True)
            score = head(maps).gather(1, target[:, None]).sum()
            weights = torch.autograd.grad(score, maps)[0].mean(dim=(2, 3))
        maps = maps.detach()
        # Products and sums by hand: autocast would take an einsum in half precision.
        heat = (maps.float() * weights.float()[:, :, None, None]).sum(dim=1).relu()
        return _scale(heat, (x.shape[2], x.shape[3]))


def important(heat: Tensor) -> Tensor:
    """Which pixels matter: those whose heat is above the image's own mean heat.

    In PART's terms (Zhang et al., 2024) a pixel's weight is its heat over the mean, and important
    means a weight above 1. The rule is monotone: a higher heat is never less important. A map
    that is the same everywhere says nothing, and then every pixel counts as important.

    Args:
        heat: (N, H, W), finite.

    Returns:
        bool (N, H, W).

    Raises:
        ValueError: heat of another shape, or not finite.
    """
    if heat.dim() != 3:
        raise ValueError(f"heat: the shape (N, H, W) is needed, found {tuple(heat.shape)}")
    if not heat.isfinite().all():
        raise ValueError("heat: finite values are needed, found NaN or infinity")
    mean = heat.mean(dim=(1, 2), keepdim=True)
    flat = heat.amax(dim=(1, 2), keepdim=True) <= heat.amin(dim=(1, 2), keepdim=True)
    return (heat > mean) | flat


CAMS = {"grad_cam": grad_cam}


def _scale(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, h, w) to (N, H, W) and divide each image by its maximum, leaving zeros zero."""
    heat = F.interpolate(heat[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 0, heat / peak, 0.0)


def _check_target(target: Tensor, logits: Tensor) -> Tensor:
    if not isinstance(target, Tensor):
        raise ValueError(f"target: a tensor is needed, found {target!r}")
    classes = logits.shape[1]
    if target.shape != logits.shape[:1] or target.is_floating_point():
        raise ValueError(
            f"target: whole numbers of shape ({len(logits)},) are needed, "
            f"found {target.dtype} {tuple(target.shape)}"
        )
    if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise ValueError(
            f"target: classes in [0, {classes}) are needed, "
            f"found {int(target.min())} to {int(target.max())}"
        )
    return target.long().clone()  # never an inference tensor
