"""Methods with one budget for every pixel: natural training, AT, TRADES and MART."""

from __future__ import annotations

from partlib import losses
from partlib.attacks import Loss, Start
from partlib.attacks.checks import count
from partlib.losses import Outer
from partlib.methods import checks
from partlib.methods.method import Method


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
        ValueError: eps is no number in [0, 1], such as a map, or a step is not positive.
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
    checks.number("eps", eps, hint="; quadrants and part train within maps")
    for key, value in {"step_size": step_size, **settings}.items():
        checks.number(key, value)
    if not 0 <= eps <= 1:
        raise ValueError(f"eps: a value in [0, 1] is needed, found {eps!r}")
    count("steps", steps, least=1)
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
