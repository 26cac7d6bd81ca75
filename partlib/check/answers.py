"""How an answer is examined: on a small network, without ever raising."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partlib.models import Classifier, PooledLinear
from partlib.preserve import seeded
from partlib.show import say

Examine = Callable[[Any], None]
CHECKS: dict[str, Examine] = {}
"""The examinations by name; each raises `Wrong` with a hint, or returns."""
RIGHT = "right"
NOT_YET = "not implemented yet"
CLASSES = 5


class Wrong(Exception):
    """What is wrong with an answer, in words."""


def exercise(examine: Examine) -> Callable[[Any], None]:
    """Make the check that a reader calls: it displays the verdict and returns None."""
    name = examine.__name__
    CHECKS[name] = examine

    @wraps(examine)
    def check(answer: Any) -> None:
        say(f"`{name}`: {verdict(name, answer)}")

    return check


def verdict(name: str, answer: Any) -> str:
    """`RIGHT`, `NOT_YET`, or a hint at what is wrong.

    Args:
        name: of the exercise, a key of `CHECKS`.
        answer: what the reader wrote, as a rule a function.

    Raises:
        ValueError: there is no such exercise. An answer never makes it raise.
    """
    if name not in CHECKS:
        raise ValueError(f"name: one of {', '.join(CHECKS)} is needed, found {name!r}")
    try:
        with seeded(20_241_126), torch.enable_grad():  # no seed of the checks' own
            CHECKS[name](answer)
    except Wrong as wrong:
        return str(wrong)
    except Exception as error:  # noqa: BLE001 - an answer may raise anything, and that is a hint
        return f"it stops with {type(error).__name__}: {error}"
    return RIGHT


def need(holds: object, hint: str) -> None:
    """Go on only if something holds."""
    if not bool(holds):
        raise Wrong(hint)


def stub(is_stub: object) -> None:
    """Stop where the answer is still the stub."""
    need(not is_stub, NOT_YET)


def same(found: object, expected: Tensor, *, atol: float = 1e-6) -> bool:
    """Whether a result is a tensor of the expected shape and values."""
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return torch.allclose(found.double(), expected.double(), rtol=1e-5, atol=atol)


def near(found: object, expected: float) -> bool:
    """Whether a result is a number of the expected value."""
    if isinstance(found, (Tensor, np.ndarray, np.generic)):
        found = found.item()
    return isinstance(found, Real) and abs(float(found) - expected) <= 1e-6 * max(1, abs(expected))


def network(seed: int = 0) -> Classifier:
    """A random network of five classes in float64, with batch normalisation, in eval mode."""
    with seeded(seed):
        features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, 1, 1),
            nn.ReLU(),
        )
        return Classifier(features, PooledLinear(6, CLASSES)).double().eval()


def images(n: int = 10, side: int = 8) -> tuple[Tensor, Tensor]:
    """Images (n, 3, side, side) in float64, some pixels of them 0 or 1, and labels."""
    source = torch.Generator().manual_seed(1)
    x = (1.4 * torch.rand(n, 3, side, side, generator=source, dtype=torch.float64) - 0.2).clamp(
        0, 1
    )
    return x, torch.arange(n) % CLASSES


def is_adversarial(x_adv: object, x: Tensor, eps: float | None) -> None:
    """Stop unless a result is images of x's shape, in [0, 1] and within the budget."""
    need(
        isinstance(x_adv, Tensor) and x_adv.shape == x.shape,
        "it must return images of the shape that it was given",
    )
    assert isinstance(x_adv, Tensor)
    need(not x_adv.isnan().any(), "some values are NaN")
    if eps is not None:
        need(
            (x_adv - x).abs().max() <= eps + 1e-7,
            "a pixel changes by more than eps: project, or scale the step",
        )
    need(x_adv.min() >= 0 and x_adv.max() <= 1, "values leave [0, 1]: clamp them")
