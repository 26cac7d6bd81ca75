"""What a training method is: an inner attack within a budget, and an outer loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from partlib import attacks
from partlib.attacks import Loss, Start, Update
from partlib.budgets import Budget
from partlib.losses import Outer

BudgetRule = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Images and labels of the very batch that is attacked, seen by the guide, to a budget map."""

Control = Callable[[Tensor, Tensor | None, torch.Generator | None], Tensor]
"""A rule's map, the batch's true masks and a random source to the map that takes its place."""


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
        start: where the inner attack starts, see `attacks.pgd`.
        rule: the per-pixel budget from a guide model; None is eps everywhere. Its attribute
            `check`, if it has one, is called with the model and an image before training.
        control: what is put in the place of the rule's map, see `controls`.
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
    start: Start | Tensor = "uniform"
    rule: BudgetRule | None = None
    control: Control | None = None
    update: Update = "clamp"
    refresh: int = 1
    warmup: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def budget(
        self,
        guide: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        epoch: int,
        masks: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Budget:
        """The budget for this batch in this epoch.

        Args:
            guide: the model that a rule looks with.
            x: images (N, C, H, W), as they are attacked.
            y: labels (N,).
            epoch: from 0.
            masks: the true masks (N, H, W) in [0, 1], which a control may need.
            generator: the random source of a control.

        Returns:
            `eps`, or the rule's map, which broadcasts to x.
        """
        if self.rule is None or epoch < self.warmup:
            return self.eps
        budget = self.rule(guide, x, y)
        return budget if self.control is None else self.control(budget, masks, generator)

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
