"""Four class activation maps: the same sum over channels, weighed in four ways.

With A a layer's maps (N, C, h, w), y the logit of the target and g = dy / dA:

    heat = relu(sum_k a_k A_k)

    cam         a_k = the classifier's weight of channel k     Zhou et al., 2016, eq. 2
    grad_cam    a_k = mean of g_k                              Selvaraju et al., 2017, eq. 1 and 2
    xgrad_cam   a_k = sum(g_k A_k) / sum(A_k)                  Fu et al., 2020
    layer_cam   a_k = relu(g_k), place by place                Jiang et al., 2021

Where average pooling and one linear layer follow, g is that layer's row over the map's area. Then
the first three are one map (if no A is below 0), and none of the four needs a backward pass.

All are scaled alike: the sum is cut at zero, resized to the image (bilinear) and divided by the
image's own maximum. So 1 is the hottest pixel of each image, and heats of two images do not
compare; a map without heat stays zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks import checks
from partlib.models import Classifier, PooledLinear
from partlib.preserve import gradients_on, untouched

Layer = nn.Module | str | None
Weigh = Callable[[Tensor, Tensor], Tensor]
"""Maps and gradients, (N, C, h, w) or (N, C, 1, 1), to the factor of the maps."""


def cam(
    model: nn.Module, x: Tensor, target: Tensor | None = None, *, layer: Layer = None
) -> Tensor:
    """CAM (Zhou et al., 2016): the maps weighed by the classifier's row of the target.

    It is defined only where average pooling and one linear layer follow the maps, and there it
    equals Grad-CAM. What speaks against the class is cut at zero, as in the other three.

    Args:
        model: any module that maps images to logits (N, K). Left as it was found.
        x: images (N, C, H, W), finite floats.
        target: class of each map, (N,); None is the model's own prediction.
        layer: the module, or its dotted name, whose output (N, C, h, w) is looked at; None is
            `features`, for a model with that and a `head`, as all of `partlib.models` are.

    Returns:
        Heat (N, H, W), float32 in [0, 1]; all zeros where nothing speaks for the class.

    Raises:
        ValueError: an argument is not as above, or something else than average pooling and one
            linear layer follows the maps.
    """
    return _heat(model, x, target, layer, None)


def grad_cam(
    model: nn.Module, x: Tensor, target: Tensor | None = None, *, layer: Layer = None
) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2017): the maps weighed by their mean gradient.

    Args:
        model: any module that maps images to logits (N, K). Left as it was found.
        x: images (N, C, H, W), finite floats.
        target: class of each map, (N,); None is the model's own prediction.
        layer: the module, or its dotted name, whose output (N, C, h, w) is looked at; None is
            `features`, for a model with that and a `head`, as all of `partlib.models` are.

    Returns:
        Heat (N, H, W), float32 in [0, 1]; all zeros where nothing speaks for the class.

    Raises:
        ValueError: an argument is not as above.
    """
    return _heat(model, x, target, layer, lambda maps, g: g.mean(dim=(2, 3), keepdim=True))


def xgrad_cam(
    model: nn.Module, x: Tensor, target: Tensor | None = None, *, layer: Layer = None
) -> Tensor:
    """XGrad-CAM (Fu et al., 2020): the maps weighed by the mean gradient where they are active.

    Args:
        model: any module that maps images to logits (N, K). Left as it was found.
        x: images (N, C, H, W), finite floats.
        target: class of each map, (N,); None is the model's own prediction.
        layer: the module, or its dotted name, whose output (N, C, h, w) is looked at; None is
            `features`, for a model with that and a `head`, as all of `partlib.models` are.

    Returns:
        Heat (N, H, W), float32 in [0, 1]; all zeros where nothing speaks for the class.

    Raises:
        ValueError: an argument is not as above.
    """

    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        total = maps.sum(dim=(2, 3), keepdim=True)
        share = (gradient * maps).sum(dim=(2, 3), keepdim=True) / total
        return torch.where(total == 0, 0.0, share)

    return _heat(model, x, target, layer, weigh)


def layer_cam(
    model: nn.Module, x: Tensor, target: Tensor | None = None, *, layer: Layer = None
) -> Tensor:
    """LayerCAM (Jiang et al., 2021): each place weighed by its own gradient, cut at zero.

    Made for early layers, whose gradients differ from place to place.

    Args:
        model: any module that maps images to logits (N, K). Left as it was found.
        x: images (N, C, H, W), finite floats.
        target: class of each map, (N,); None is the model's own prediction.
        layer: the module, or its dotted name, whose output (N, C, h, w) is looked at; None is
            `features`, for a model with that and a `head`, as all of `partlib.models` are.

    Returns:
        Heat (N, H, W), float32 in [0, 1]; all zeros where nothing speaks for the class.

    Raises:
        ValueError: an argument is not as above.
    """
    return _heat(model, x, target, layer, lambda maps, gradient: gradient.relu())


def _heat(
    model: nn.Module, x: Tensor, target: Tensor | None, layer: Layer, weigh: Weigh | None
) -> Tensor:
    """The scaled heat of one of the four; `weigh` is None for CAM."""
    checks.module(model)
    _check_images(x)
    with untouched(model), gradients_on():
        x = x.detach().clone()
        if not _is_hooked(model):  # what torch.compile made does not see the hook of `_cut`
            model = getattr(model, "_orig_mod", model)
        if layer is None and _is_plain(model):
            maps, logits, linear = _at_last_stage(model, x)
        else:
            maps, logits, linear = *_at_layer(model, x, layer), None
        _check_logits(logits, x)
        target = logits.argmax(dim=1) if target is None else _check_target(target, logits)
        if weigh is None and linear is None:
            linear = _find_linear(model, maps.detach(), logits.detach())
        if linear is not None:
            row = linear.weight.detach()[target].float()[:, :, None, None]
            gradient = row / (maps.shape[2] * maps.shape[3])
        else:
            gradient = _gradient(logits.gather(1, target[:, None]).sum(), maps)
        maps = maps.detach().float()
        factor = gradient if weigh is None else weigh(maps, gradient)
        # Products and sums by hand: autocast would take an einsum in half precision.
        return _scale((maps * factor).sum(dim=1).relu(), (x.shape[2], x.shape[3]))


def _is_plain(model: nn.Module) -> TypeGuard[Classifier]:
    """Whether a call is head(features(x)) and nothing else, such as a normalisation before."""
    return getattr(model.forward, "__func__", None) is Classifier.forward and not _is_hooked(model)


def _is_pooled_linear(head: nn.Module) -> TypeGuard[PooledLinear]:
    """Whether a call is the linear layer on the averages and nothing else."""
    plain = getattr(head.forward, "__func__", None) is PooledLinear.forward
    return plain and not any(_is_hooked(module) for module in head.modules())


def _is_hooked(model: nn.Module) -> bool:
    return bool(model._forward_hooks or model._forward_pre_hooks)


def _at_last_stage(model: Classifier, x: Tensor) -> tuple[Tensor, Tensor, nn.Linear | None]:
    """Maps, logits, and the linear layer after the pooling where that is known."""
    with torch.no_grad():
        with checks.taken(model, x):
            maps = model.features(x)
        _check_maps(maps, "model")
        if _is_pooled_linear(model.head):
            return maps, model.head(maps), model.head.linear
    maps.requires_grad_(True)
    with checks.taken(model, x):
        return maps, model.head(maps.clone()), None  # a clone, for what works in place


def _at_layer(model: nn.Module, x: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """A layer's maps and the logits, with a graph between the two and nowhere else."""
    with _cut(_find_layer(model, layer)) as maps, checks.taken(model, x):
        logits = model(x)
    if len(maps) != 1:
        raise ValueError(f"layer: one that runs once is needed, found {len(maps)} runs")
    return maps[0], logits


@contextmanager
def _cut(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, what the layer puts out is kept, and what follows starts from that."""
    kept: list[Tensor] = []

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept.append(_check_maps(output, "layer").detach().requires_grad_(True))
        return kept[-1].clone()  # for what works in place

    handle = layer.register_forward_hook(hook)
    try:
        yield kept
    finally:
        handle.remove()


def _find_layer(model: nn.Module, layer: Layer) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if layer is None:
        if not {"features", "head"} <= modules.keys():
            raise ValueError(
                f"model: one with features and head is needed, found {type(model).__name__}; "
                "for any other name its layer"
            )
        return modules["features"]
    if isinstance(layer, str) and layer in modules:
        return modules[layer]
    if isinstance(layer, nn.Module) and any(layer is module for module in modules.values()):
        return layer
    found = repr(layer) if isinstance(layer, str) else type(layer).__name__
    raise ValueError(f"layer: a module of the model or its dotted name is needed, found {found}")


def _find_linear(model: nn.Module, maps: Tensor, logits: Tensor) -> nn.Linear:
    """The linear layer that makes the logits from the maps' averages, found by trying."""
    pooled, logits = maps.mean(dim=(2, 3)).float(), logits.float()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.in_features == maps.shape[1]:
            bias = None if module.bias is None else module.bias.float()
            with torch.autocast(maps.device.type, enabled=False):
                made = F.linear(pooled, module.weight.float(), bias)
            near = 0.01 * float(logits.abs().max())  # half precision is no closer
            if made.shape == logits.shape and torch.allclose(made, logits, rtol=0, atol=near):
                return module
    raise ValueError(
        "layer: for CAM average pooling and one linear layer must follow, which is not so here; "
        "grad_cam takes any layer"
    )


def _gradient(score: Tensor, maps: Tensor) -> Tensor:
    gradient = None
    if score.requires_grad:
        (gradient,) = torch.autograd.grad(score, maps, allow_unused=True)
    if gradient is None:
        raise ValueError("layer: the logits do not depend on it")
    return gradient.float()


def _scale(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, h, w) to (N, H, W) and divide each image by its maximum, leaving zeros zero."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    heat = F.interpolate(heat[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    heat = torch.where(low == high, high, heat)  # which resizing makes uneven in the last bit
    peak = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak == 0, 0.0, heat / peak)  # NaN stays NaN


def _check_images(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: a float tensor is needed, found {found}")
    if x.dim() != 4 or x.numel() == 0:
        raise ValueError(
            f"x: the shape (N, C, H, W) with an image is needed, found {tuple(x.shape)}"
        )
    if not x.isfinite().all():
        raise ValueError("x: finite values are needed, found NaN or infinity")


def _check_maps(maps: Tensor, name: str) -> Tensor:
    if not isinstance(maps, Tensor) or maps.dim() != 4 or not maps.is_floating_point():
        found = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"{name}: maps of shape (N, C, h, w) are needed, found {found}")
    return maps


def _check_logits(logits: Tensor, x: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(x):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model: logits of shape ({len(x)}, K) are needed, found {found}")
    if not logits.isfinite().all():
        raise checks.NotFiniteError("model: finite logits are needed, found NaN or infinity")


def _check_target(target: Tensor, logits: Tensor) -> Tensor:
    if not isinstance(target, Tensor):
        raise ValueError(f"target: a tensor is needed, found {target!r}")
    classes = logits.shape[1]
    wrong = target.is_floating_point() or target.is_complex() or target.dtype == torch.bool
    if target.shape != logits.shape[:1] or wrong:
        raise ValueError(
            f"target: whole numbers of shape ({len(logits)},) are needed, "
            f"found {target.dtype} {tuple(target.shape)}"
        )
    if not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise ValueError(
            f"target: classes in [0, {classes}) are needed, "
            f"found {int(target.min())} to {int(target.max())}"
        )
    return target.to(logits.device, torch.int64, copy=True)  # never an inference tensor
