"""Is an attack broken, or does a model only hide its gradients? The signs, one by one.

They are those of Athalye et al. (2018) and Carlini et al. (2019): a sound attack gets stronger with
its budget and its steps, beats a single step, random noise and another model's examples, and treats
each image by itself. A report that passes is no proof of robustness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks import checks, fgsm, pgd
from partlib.budgets import Budget
from partlib.evaluation import predict
from partlib.preserve import full_precision, gradients_on, seeded, untouched, watched

Attack = Callable[[nn.Module, Tensor, Tensor, Budget], Tensor]
"""A model, images, labels and a budget to adversarial images."""
LARGE = 0.5  # every image can become the same grey


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sign that was looked for.

    Attributes:
        name: of the sign.
        passed: whether all is well.
        figures: what was measured.
        sentence: the same in words.
    """

    name: str
    passed: bool
    figures: Mapping[str, float]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `diagnose` found; it prints as one line a finding."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every finding passed."""
        return all(found.passed for found in self.findings)

    def __str__(self) -> str:
        """Pass or FAIL, name and sentence of each."""
        return "\n".join(
            f"{'pass' if found.passed else 'FAIL'}  {found.name:10}  {found.sentence}"
            for found in self.findings
        )


def diagnose(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: Budget = 8 / 255,
    attack: Attack | None = None,
    transfer_from: nn.Module | None = None,
    steps: int = 20,
) -> Report:
    """Look for the signs of a broken attack and of masked gradients.

    ==========  ====================================================================
    budget      every pixel stays in its budget and in [0, 1]
    use         the largest change is at least half of the budget
    model       it is as it was: modes, weights, statistics, `requires_grad`, `.grad`
    neighbours  an image's example does not depend on the rest of its batch
    eps         accuracy is the clean one at 0, falls, and at 0.5 what is right, if more
                than 2 %, is all of one class
    steps       more PGD steps leave no more images right
    restarts    the worst of 3 PGD starts does not leave 5 points less than one
    fgsm        the attack is no weaker than one step
    noise       the attack is no weaker than random corners of the budget
    transfer    the attack is no weaker than PGD examples of another model
    gradients   at most 5 % of the images have a gradient of zero
    ==========  ====================================================================

    One accuracy is more than another here only if it is by two standard errors of the paired
    difference. The cost is about 13 times `steps` gradients an image.

    Args:
        model: maps images in [0, 1] to logits (N, K). Left as it was found.
        x: images (N, C, H, W), float32 or float64 in [0, 1], at least 2; with a hundred it tells
            something.
        y: labels (N,), whole numbers in [0, K).
        eps: the budget, a float or a tensor that broadcasts to x, up to 0.25.
        attack: what to examine, called as (model, x, y, eps) with budgets from 0 to 0.5. None
            is PGD with steps of eps / 4. "steps" and "restarts" are PGD's whatever it is.
        transfer_from: a model trained by itself, for "transfer"; None leaves that out.
        steps: of PGD, at least 4.

    Returns:
        The findings; the same at each call, unless the attack draws from elsewhere than torch.

    Raises:
        ValueError: an argument is not as above, the model gets no image right, or the attack's
            result is not of x's shape.
    """
    budget = checks.inputs(model, x, y, eps)
    checks.count("steps", steps, least=4)
    if attack is not None and not callable(attack):
        raise ValueError(f"attack: a callable or None is needed, found {attack!r}")
    if not isinstance(transfer_from, nn.Module | None):
        raise ValueError(f"transfer_from: a torch.nn.Module is needed, found {transfer_from!r}")
    largest = budget.max().item()
    if not 0 < largest <= 0.25:
        raise ValueError(f"eps: a budget above 0 and up to 0.25 is needed, found {largest:g}")
    if len(x) < 2:
        raise ValueError(f"x: at least 2 images are needed, found {len(x)}")
    x, y, step = x.detach(), y.long(), largest / 4

    def standard(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
        size = float(torch.as_tensor(eps).max())
        return pgd(model, x, y, eps, step_size=size / 4 or step, steps=steps)

    def right(images: Tensor) -> Tensor:
        return predict(model, images).argmax(dim=1) == y

    def by_pgd(steps: int, restarts: int = 1) -> Tensor:
        return right(pgd(model, x, y, eps, step_size=step, steps=steps, restarts=restarts))

    with full_precision(x.device):
        zero = _zero_gradients(model, x, y)
        clean = right(x)
        if not clean.any():
            raise ValueError("y: labels of which the model gets some right are needed, found none")
        trial = _Trial(attack or standard, model, y)
        x_adv = trial(x, eps)
        attacked = right(x_adv)
        half = len(x) // 2
        elsewhere = trial(torch.cat([x[:half], 1 - x[half:]]), eps)
        moved = ((elsewhere - x_adv)[:half].abs() > 1e-6).float().mean().item()
        curve = {
            "eps 0": right(trial(x, 0 * eps)),
            "eps/2": right(trial(x, eps / 2)),
            "eps": attacked,
            "2 eps": right(trial(x, 2 * eps)),
            f"eps {LARGE}": right(trial(x, LARGE)),
        }
        by_steps = {f"{n} steps": by_pgd(n) for n in (steps // 4, steps, 5 * steps // 2)}
        starts = {"1 start": by_steps[f"{steps} steps"], "worst of 3": by_pgd(steps, restarts=3)}
        draws = torch.rand(x.shape, generator=checks.source(None, x), device=x.device)
        others = {
            "fgsm": ("one step", fgsm(model, x, y, eps)),
            "noise": ("noise", (x + budget * (draws - 0.5).sign().to(x)).clamp(0, 1)),
        }
        if transfer_from is not None:
            others["transfer"] = ("from the other model", standard(transfer_from, x, y, eps))
        findings = [
            trial.in_budget(),
            _use(x_adv - x, budget),
            trial.model_unchanged(),
            _finding(
                "neighbours",
                moved <= 0.01,
                {"changed": moved},
                f"Other neighbours change {100 * moved:.1f} % of an image's pixels",
                "BatchNorm in train mode does that",
            ),
            _curve(clean, curve, y),
            _right("steps", not _rises(by_steps), by_steps, "more steps must not leave more"),
            _restarts(starts),
        ]
        for name, (other, images) in others.items():
            pair = {"attack": attacked, other: right(images)}
            weak = _clearly_more(*pair.values())
            findings.append(_right(name, not weak, pair, "the attack must not be weaker"))
        findings.append(
            _finding(
                "gradients",
                zero <= 0.05,
                {"zero": zero},
                f"The gradient is zero on {100 * zero:.1f} % of the images",
                "PGD cannot see there; try another loss, or an attack without gradients",
            )
        )
    return Report(findings=tuple(findings))


class _Trial:
    """Runs an attack, from the same random state each time, and keeps what it did wrong."""

    def __init__(self, attack: Attack, model: nn.Module, y: Tensor) -> None:
        self.attack, self.model, self.y = attack, model, y
        self.over, self.low, self.high = 0.0, 0.0, 1.0
        self.changed: set[str] = set()

    def __call__(self, x: Tensor, eps: Budget) -> Tensor:
        with watched(self.model) as changed, seeded(0):
            x_adv = self.attack(self.model, x.clone(), self.y.clone(), eps)
        self.changed |= changed
        if not isinstance(x_adv, Tensor) or x_adv.shape != x.shape or x_adv.isnan().any():
            found = tuple(x_adv.shape) if isinstance(x_adv, Tensor) else type(x_adv).__name__
            raise ValueError(
                f"attack: images of shape {tuple(x.shape)} without NaN are needed, found {found}"
            )
        x_adv = x_adv.detach().to(x)
        over = (x_adv - x).abs() - torch.as_tensor(eps, device=x.device)
        self.over = max(self.over, over.max().item())
        self.low = min(self.low, x_adv.min().item())
        self.high = max(self.high, x_adv.max().item())
        return x_adv

    def in_budget(self) -> Finding:
        passed = self.over <= 1e-6 and self.low >= -1e-6 and self.high <= 1 + 1e-6
        return _finding(
            "budget",
            passed,
            {"over": self.over, "low": self.low, "high": self.high},
            f"Pixels leave their budget by up to {255 * self.over:.1f}/255 and reach from "
            f"{self.low:.2f} to {self.high:.2f}",
            "project each step onto the budget, and clamp to [0, 1]",
        )

    def model_unchanged(self) -> Finding:
        what = ", ".join(sorted(self.changed)) or "nothing"
        return _finding(
            "model",
            not self.changed,
            {"changed": len(self.changed)},
            f"The attack changes {what} of the model",
            "it must be left as it was found",
        )


def _zero_gradients(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of images on which the gradient of cross-entropy is zero at every pixel."""
    with untouched(model), gradients_on():
        images, labels = x.clone().requires_grad_(True), y.clone()
        loss = F.cross_entropy(checks.first_logits(model, images, labels), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    return (gradient.flatten(1) == 0).all(dim=1).float().mean().item()


def _finding(
    name: str, passed: bool, figures: Mapping[str, float], sentence: str, hint: str
) -> Finding:
    """A finding whose sentence ends with what to think of, if it failed."""
    end = "." if passed else f"; {hint}."
    return Finding(name=name, passed=passed, figures=figures, sentence=sentence + end)


def _use(delta: Tensor, budget: Tensor) -> Finding:
    budget = budget.expand_as(delta)
    used = (delta.abs() / budget)[budget > 0].max().item()
    return _finding(
        "use",
        used >= 0.5,
        {"used": used},
        f"The largest change is {used:.2f} of its budget",
        "its budget may be in the units of normalised images",
    )


def _curve(clean: Tensor, curve: Mapping[str, Tensor], y: Tensor) -> Finding:
    hints, left = [], curve[f"eps {LARGE}"]
    if not torch.equal(curve["eps 0"], clean):
        hints.append(f"at 0 it must be the clean {_percent(clean):.1f} %")
    if _rises(curve):
        hints.append("it must fall")
    if _percent(left) > 2 and len(y[left].unique()) > 1:
        hints.append(f"at {LARGE} one class at most can be left")
    return _right("eps", not hints, curve, ", ".join(hints))


def _restarts(starts: Mapping[str, Tensor]) -> Finding:
    one, worst = starts.values()
    passed = _percent(one) - _percent(worst) <= 5 or not _clearly_more(one, worst)
    return _right("restarts", passed, starts, "so much luck is a sign of masked gradients")


def _right(name: str, passed: bool, found: Mapping[str, Tensor], hint: str) -> Finding:
    """A finding about which images are still right, by what was done to them."""
    figures = {key: _percent(value) for key, value in found.items()}
    listed = ", ".join(f"{value:.1f} % ({key})" for key, value in figures.items())
    return _finding(name, passed, figures, f"Still right: {listed}", hint)


def _rises(found: Mapping[str, Tensor]) -> bool:
    return any(_clearly_more(later, earlier) for earlier, later in pairwise(found.values()))


def _percent(right: Tensor) -> float:
    return 100 * right.float().mean().item()


def _clearly_more(one: Tensor, other: Tensor) -> bool:
    """Whether more images are right in one than in the other, by two standard errors (McNemar)."""
    gained, lost = (one & ~other).sum().item(), (other & ~one).sum().item()
    return bool(gained - lost > 2 * (gained + lost) ** 0.5)
