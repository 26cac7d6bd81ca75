"""The exercises on adversarial training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from partlib import attacks
from partlib import losses as library
from partlib.check.answers import exercise, images, near, need, network, same, stub


@exercise
def buffers_changed(answer: Any) -> None:
    """How many buffers an attack changes."""
    x, y = images()
    ran: list[int] = []

    def forward(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        ran.append(1)
        logits: Tensor = model(x)
        return logits

    found = answer(network().train(), forward, x, y)
    stub(found == 0 and not ran)
    need(found == 3, "the running mean, the variance and the count change: compare with clones")
    need(answer(network(), forward, x, y) == 0, "in eval mode none changes")
    need(len(ran) == 2, "run the attack once")


@exercise
def mixture_loss(answer: Any) -> None:
    """Natural and adversarial cross-entropy, mixed."""
    model = network()
    with torch.no_grad():  # logits that vary: else a mixture of them is one of their losses
        model.get_submodule("head.linear").get_parameter("weight").mul_(300)
    x, y = images()
    x_adv = attacks.fgsm(model, x, y, 0.1)
    found = answer(model, x, x_adv, y, 0.25)
    stub(not found.requires_grad and not found.any())
    natural, adversarial = (
        loss(model, x, x_adv, y)[0] for loss in (library.natural, library.adversarial)
    )
    need(found.shape == (), "one number: the mean over the images")
    need(
        not same(found, 0.75 * natural + 0.25 * adversarial),
        "a is the share of the natural part",
    )
    need(same(found, 0.25 * natural + 0.75 * adversarial), "a natural + (1 - a) adversarial")
    need(found.requires_grad, "the weights need its gradient")


@exercise
def natural_beta(answer: Any) -> None:
    """The beta at which TRADES is natural training."""
    stub(answer is None)
    need(near(answer, 0), "which value leaves the first term alone?")
