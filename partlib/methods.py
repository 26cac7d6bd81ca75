"""Training methods: how a batch becomes a loss, as budget -> attack -> loss.

    at(), trades(), mart()     a constant budget
    part(at())                 the same, with a budget from a class activation map
    part(trades())             PART-T, as the paper calls it
    part(mart())               PART-M

`part` wraps a method and changes its budget alone, which is what it means that PART is orthogonal
to the method (Zhang et al., 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from partlib import attacks, losses
from partlib.attacks import Loss, Start, Update
from partlib.budgets import Budget, from_mask
from partlib.cam import CAMS, important
from partlib.cam.masks import Rule, check_rule
from partlib.losses import Outer

BudgetRule = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Images and labels of the very batch that is attacked, seen by the guide, to a budget map."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to train: an inner attack within a budget, and an outer loss.

    Attributes:
        name: short name, as in the tables.
        outer: the loss that the weights descend.
        eps: the full budget, in [0, 1]; 0 means that nothing is attacked.
        steps: steps of the inner attack.
        step_size: size of an inner step, in the units of the images.
        inner: the loss that the inner attack ascends.
        start: where the inner attack starts.
        rule: the per-pixel budget from a guide model; None is eps everywhere.
        update: how a step is brought into the budget, see `attacks.pgd`.
        refresh: the guide is the model itself (1), or a snapshot renewed every so many epochs.
        warmup: epochs in which eps is used everywhere, before the rule.
        settings: the arguments this method was made from, for the record of a run.
    """

    name: str
    outer: Outer
    eps: float = 0.0
    steps: int = 0
    step_size: float = 0.0
    inner: Loss = "ce"
    start: Start = "uniform"
    rule: BudgetRule | None = None
    update: Update = "clamp"
    refresh: int = 1
    warmup: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def budget(self, guide: nn.Module, x: Tensor, y: Tensor, *, epoch: int) -> Budget:
        """The budget for this batch in this epoch.

        Args:
            guide: the model that a rule looks with.
            x: images (N, C, H, W), as they are attacked.
            y: labels (N,).
            epoch: from 0.

        Returns:
            `eps`, or the rule's map, which broadcasts to x.
        """
        if self.rule is None or epoch < self.warmup:
            return self.eps
        return self.rule(guide, x, y)

    def attack(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        eps: Budget,
        *,
        ramp: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Adversarial images for training.

        Args:
            model: the model that is trained.
            x: images (N, C, H, W) in [0, 1].
            y: labels (N,).
            eps: the budget, a float or a tensor that broadcasts to x.
            ramp: in [0, 1], scales budget and steps alike.
            generator: source of the random start, see `attacks.pgd`.
        """
        if self.steps == 0 or ramp == 0:
            return x
        return attacks.pgd(
            model,
            x,
            y,
            ramp * eps,
            step_size=ramp * self.step_size,
            steps=self.steps,
            random_start=self.start,
            loss=self.inner,
            update=self.update,
            generator=generator,
        )


def natural() -> Method:
    """Natural training: cross-entropy on the images as they are."""
    return Method(name="natural", outer=losses.natural, settings={"method": "natural"})


def at(*, eps: float = 8 / 255, steps: int = 10, step_size: float = 2 / 255) -> Method:
    """Adversarial training (Madry et al., 2018): cross-entropy on PGD examples.

    Args:
        eps: the budget of every pixel, in [0, 1].
        steps: inner PGD steps.
        step_size: size of a step, in the units of the images.

    Raises:
        ValueError: eps outside [0, 1], or a step that is not positive.
    """
    return _attacking(
        "at", losses.adversarial, "ce", "uniform", eps=eps, steps=steps, step_size=step_size
    )


def trades(
    *, beta: float = 6.0, eps: float = 8 / 255, steps: int = 10, step_size: float = 2 / 255
) -> Method:
    """TRADES (Zhang et al., 2019): cross-entropy on the images, and divergence from them.

    The loss is CE(p(x), y) + beta KL(p(x) || p(x_adv)), and the inner attack ascends the same
    divergence, from 0.001 N(0, 1).

    Args:
        beta: weight of the divergence, 0 or more; the paper's 1 / lambda.
        eps: the budget of every pixel, in [0, 1].
        steps: inner PGD steps.
        step_size: size of a step, in the units of the images.

    Raises:
        ValueError: an argument is not as above.
    """
    return _attacking(
        "trades",
        losses.trades(beta),
        "kl",
        "normal",
        eps=eps,
        steps=steps,
        step_size=step_size,
        beta=beta,
    )


def mart(
    *, beta: float = 6.0, eps: float = 8 / 255, steps: int = 10, step_size: float = 2 / 255
) -> Method:
    """MART (Wang et al., 2020): misclassified images weigh more.

    The loss is BCE(p(x_adv), y) + beta KL(p(x) || p(x_adv)) (1 - p_y(x)), where BCE adds
    -log(1 - the largest wrong probability) to the cross-entropy. The inner attack ascends
    cross-entropy, from 0.001 N(0, 1) as in TRADES.

    Args:
        beta: weight of the divergence, 0 or more; the paper's lambda.
        eps: the budget of every pixel, in [0, 1].
        steps: inner PGD steps.
        step_size: size of a step, in the units of the images.

    Raises:
        ValueError: an argument is not as above.
    """
    return _attacking(
        "mart",
        losses.mart(beta),
        "ce",
        "normal",
        eps=eps,
        steps=steps,
        step_size=step_size,
        beta=beta,
    )


def part(
    base: Method,
    *,
    eps_low: float = 7 / 255,
    cam: str = "grad_cam",
    rule: Rule = "paper",
    refresh: int = 1,
    update: Update = "multiply",
    warmup: int = 0,
) -> Method:
    """Pixel-reweighted adversarial training (PART, Zhang et al., 2024) around any method.

    Pixels that the CAM of the clean image marks important keep the base's full budget, the
    others get `eps_low`. The mask is computed on the very batch that is attacked, after
    augmentation, so it always belongs to its image and none is stored.

    Args:
        base: the method to wrap; it must attack.
        eps_low: the budget of unimportant pixels, in [0, base.eps].
        cam: name of the class activation map, a key of `cam.CAMS`.
        rule: how the map becomes a mask, see `cam.important`. "published" is a mask for each
            channel, to study what the published code does; recorded only if it is that.
        refresh: the paper's s. 1 takes the mask from the current model, s > 1 from a snapshot
            of it that is renewed every s epochs.
        update: "multiply" as PART is stated, "clamp" as its published code does it.
        warmup: epochs of the base method alone, before any mask is used.

    Raises:
        ValueError: an argument is not as above.
    """
    if base.steps == 0:
        raise ValueError(f"base: a method that attacks is needed, found {base.name!r}")
    if not 0 <= eps_low <= base.eps:
        raise ValueError(f"eps_low: a value in [0, {base.eps:.4f}] is needed, found {eps_low!r}")
    if cam not in CAMS:
        raise ValueError(f"cam: one of {', '.join(CAMS)} is needed, found {cam!r}")
    check_rule(rule)
    if not (isinstance(refresh, int) and refresh >= 1):
        raise ValueError(f"refresh: 1 or more is needed, found {refresh!r}")
    if not (isinstance(warmup, int) and warmup >= 0):
        raise ValueError(f"warmup: 0 or more is needed, found {warmup!r}")
    if update not in ("clamp", "multiply"):
        raise ValueError(f'update: "clamp" or "multiply" is needed, found {update!r}')

    def budget(guide: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return from_mask(important(CAMS[cam](guide, x), rule), base.eps, eps_low)

    settings = {"eps_low": eps_low, "cam": cam, "refresh": refresh, "update": update}
    if rule != "paper":
        settings["rule"] = rule
    return replace(
        base,
        name="part" if base.name == "at" else f"part-{base.name}",
        rule=budget,
        update=update,
        refresh=refresh,
        warmup=warmup,
        settings={"method": "part", **settings, "warmup": warmup, "base": dict(base.settings)},
    )


def _attacking(
    name: str,
    outer: Outer,
    inner: Loss,
    start: Start,
    *,
    eps: float,
    steps: int,
    step_size: float,
    **settings: float,
) -> Method:
    """A method with a constant budget, its numbers checked and written down."""
    if not 0 <= eps <= 1:
        raise ValueError(f"eps: a value in [0, 1] is needed, found {eps!r}")
    if not (isinstance(steps, int) and steps >= 1):
        raise ValueError(f"steps: 1 or more is needed, found {steps!r}")
    if not 0 < step_size < float("inf"):  # NaN fails here too
        raise ValueError(f"step_size: a value above 0 is needed, found {step_size!r}")
    for key, value in settings.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{key}: a value of 0 or more is needed, found {value!r}")
    numbers = {"eps": eps, "steps": steps, "step_size": step_size, **settings}
    return Method(
        name=name,
        outer=outer,
        eps=eps,
        steps=steps,
        step_size=step_size,
        inner=inner,
        start=start,
        settings={"method": name, **numbers},
    )
