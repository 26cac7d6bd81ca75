"""Methods with a map of budgets around any other: PART, and the quadrants it starts from."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from partlib import budgets
from partlib.attacks import Update
from partlib.attacks.checks import count
from partlib.budgets import from_mask
from partlib.cam import CAMS, important
from partlib.cam.masks import Rule, check_rule
from partlib.methods import checks
from partlib.methods.method import Method


def part(
    base: Method,
    *,
    eps_low: float = 7 / 255,
    cam: str = "grad_cam",
    rule: Rule = "paper",
    refresh: int = 1,
    update: Update = "multiply",
    warmup: int = 0,
    layer: str | None = None,
) -> Method:
    """Pixel-reweighted adversarial training (PART, Zhang et al., 2024) around any method.

    Pixels that the CAM of the clean image marks important keep the base's full budget, the
    others get `eps_low`. The mask is computed on the very batch that is attacked, after
    augmentation, so it always belongs to its image and none is stored.

    Args:
        base: the method to wrap; it must attack, within one budget everywhere.
        eps_low: the budget of unimportant pixels, in [0, base.eps]. Under "multiply" they reach
            it only if the base's steps are at least base.eps - eps_low, see `attacks.pgd`.
        cam: name of the class activation map, a key of `cam.CAMS`.
        rule: how the map becomes a mask, see `cam.important`. "published" is a mask for each
            channel, to study what the published code does; recorded only if it is that.
        refresh: the paper's s. 1 takes the mask from the current model, s > 1 from a snapshot
            of it that is renewed every s epochs.
        update: "multiply" as PART is stated, "clamp" as its published code does it.
        warmup: epochs of the base method alone, before any mask is used.
        layer: dotted name of the module whose output the CAM looks at, such as "layer4" of
            torchvision's ResNets; None is `features`, see `cam.grad_cam`. Recorded only if given.

    Raises:
        ValueError: an argument is not as above. Training raises it, before its first step, for a
            model that the CAM is not defined for at this layer.
    """
    _check_budgets(base, eps_low=eps_low)
    if cam not in CAMS:
        raise ValueError(f"cam: one of {', '.join(CAMS)} is needed, found {cam!r}")
    check_rule(rule)
    count("refresh", refresh, least=1)
    count("warmup", warmup, least=0)
    if update not in ("clamp", "multiply"):
        raise ValueError(f'update: "clamp" or "multiply" is needed, found {update!r}')
    if not (layer is None or isinstance(layer, str)):
        raise ValueError(f"layer: a dotted name or None is needed, found {layer!r}")

    def budget(guide: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return from_mask(important(CAMS[cam](guide, x, layer=layer), rule), base.eps, eps_low)

    # With a warm-up the first map is late to find out that the model has none.
    budget.check = lambda model, x: CAMS[cam](model, x, layer=layer)  # type: ignore[attr-defined]
    settings = {"eps_low": eps_low, "cam": cam, "refresh": refresh, "update": update}
    if rule != "paper":
        settings["rule"] = rule
    if layer is not None:
        settings["layer"] = layer
    return replace(
        base,
        name="part" if base.name == "at" else f"part-{base.name}",
        rule=budget,
        update=update,
        refresh=refresh,
        warmup=warmup,
        settings={"method": "part", **settings, "warmup": warmup, "base": dict(base.settings)},
    )


def quadrants(base: Method, *, ul: float, ur: float, bl: float, br: float) -> Method:
    """A budget for each quarter of the image, around any method: PART's proof of concept.

    Args:
        base: the method to wrap; it must attack, within one budget everywhere.
        ul: the budget of the upper left quarter, in [0, base.eps].
        ur: the upper right one's.
        bl: the bottom left one's.
        br: the bottom right one's.

    Raises:
        ValueError: an argument is not as above.
    """
    quarters = {"ul": ul, "ur": ur, "bl": bl, "br": br}
    _check_budgets(base, **quarters)

    def budget(guide: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return budgets.quadrants((x.shape[2], x.shape[3]), **quarters).to(x.device)

    return replace(
        base,
        name=f"quadrants-{base.name}",
        rule=budget,
        settings={"method": "quadrants", **quarters, "base": dict(base.settings)},
    )


def _check_budgets(base: Method, **budgets: float) -> None:
    """Refuse a base that does not attack or has a map already, and budgets above its own."""
    if base.steps == 0:
        raise ValueError(f"base: a method that attacks is needed, found {base.name!r}")
    if base.rule is not None:
        raise ValueError(f"base: a method with a constant budget is needed, found {base.name!r}")
    for name, value in budgets.items():
        checks.number(name, value)
        if not 0 <= value <= base.eps:
            raise ValueError(f"{name}: a value in [0, {base.eps:.4f}] is needed, found {value!r}")
