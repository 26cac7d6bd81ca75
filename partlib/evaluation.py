"""Evaluation: accuracy in percent, natural, attacked or corrupted, in float32 and eval mode."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from partlib.attacks import autoattack, checks, fgsm, mma, pgd
from partlib.cam import CAMS, alignment
from partlib.corruptions import NAMES, SEVERITIES, corrupt
from partlib.data import ImageSet
from partlib.methods.checks import number
from partlib.preserve import full_precision, untouched

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A model, images and labels to adversarial images."""


def evaluate(
    model: nn.Module,
    test_set: ImageSet,
    attacks: Sequence[str] = ("natural", "pgd20"),
    *,
    eps: float = 8 / 255,
    corruptions: Sequence[str] = (),
    cams: Sequence[str] = (),
    batch_size: int = 250,
    progress: bool = False,
) -> dict[str, float]:
    """Accuracy of a model on a set, natural, under attacks and under corruptions.

    Args:
        model: maps images in [0, 1] to logits, with weights in float32 or float64, whose type the
            images are given in, or without any. Left as it was found.
        test_set: the images, on any device.
        attacks: "natural", "fgsm", "pgd" and a number of steps, such as "pgd20", "mma" (k = 3,
            20 steps) or "aa" (AutoAttack, standard, from the extra "eval"). "aa@100" is the same
            on the first 100 images alone, for attacks that take long.
        eps: the budget of every attack, a float in [0, 1] and no map. The steps of PGD and MMA
            are eps / 4 (2/255 at 8/255), from a random start.
        corruptions: names of `corruptions.NAMES`, "fog@100" as for attacks; all of them give the
            second table of PART's talk, in CIFAR-10-C style: generated, with seed 0.
        cams: names of `cam.CAMS`, to hold against the true masks of the set.
        batch_size: images at a time.
        progress: whether to show a bar.

    Returns:
        Accuracy in percent by attack, in the order given; then, as "corruption/fog", the mean
        over the five severities of each corruption; then, as "cam/grad_cam/iou", the means over
        the images of `cam.alignment`, in percent too.

    Raises:
        ValueError: an unknown attack, corruption or CAM, a set without images, more images asked
            for than it has, CAMs for a set without true masks, another argument that is not as
            above, outputs that are not logits, or labels that have none.
        ImportError: "aa" without its package.
    """
    if len(test_set) == 0:
        raise ValueError("test_set: at least one image is needed, found none")
    checks.count("batch_size", batch_size, least=1)
    like = _like(model, test_set)
    size = len(test_set)
    attackers = attacks_named(attacks, eps=eps, size=size)
    corrupted = {name: _on_first("corruptions", name, size) for name in corruptions}
    for name, (kind, _) in corrupted.items():
        if kind not in NAMES:
            raise ValueError(f"corruptions: of {', '.join(NAMES)} are needed, found {name!r}")
    if cams and test_set.object_pixels is None:
        raise ValueError(f"cams: true masks are needed, {test_set.name} has none")
    for name in cams:
        if name not in CAMS:
            raise ValueError(f"cams: of {', '.join(CAMS)} are needed, found {name!r}")
    right = dict.fromkeys(attackers, 0)
    starts = range(0, size, batch_size)
    for start in tqdm(starts, desc="evaluate", disable=not progress or None):
        batch = test_set[start : start + batch_size].to(like.device)
        x, y = batch.images.to(like), batch.labels
        for name, (attack, n) in attackers.items():
            some = slice(max(0, n - start))
            if len(y[some]) == 0:
                continue
            with full_precision(like.device):
                x_adv = attack(model, x[some], y[some])
            right[name] += int(_right(model, x_adv, y[some]).sum())
    accuracies = {name: 100 * count / attackers[name][1] for name, count in right.items()}
    for name in tqdm(corrupted, desc="corruptions", disable=not (progress and corruptions) or None):
        kind, n = corrupted[name]
        accuracies[f"corruption/{name}"] = _corrupted(model, test_set[:n], kind, batch_size)
    for name in cams:
        accuracies |= _aligned(model, test_set, name, batch_size)
    return accuracies


def _like(model: nn.Module, test_set: ImageSet) -> Tensor:
    """A tensor of the device and the type that the model takes images of: float64 or float32."""
    checks.module(model)
    weight = next(model.parameters(), test_set[:1].images)  # one without weights takes any
    return weight if weight.dtype == torch.float64 else weight.new_empty(0, dtype=torch.float32)


def _on_first(argument: str, name: str, size: int) -> tuple[str, int]:
    """What a name such as "aa@100" asks for, and on how many images of so many."""
    kind, at, number = name.partition("@")
    if not at:
        return kind, size
    if not number.isdecimal() or not 1 <= int(number) <= size:
        raise ValueError(f"{argument}: 1 to {size} images are needed after @, found {name!r}")
    return kind, int(number)


def _aligned(model: nn.Module, test_set: ImageSet, name: str, batch_size: int) -> dict[str, float]:
    """How well a CAM finds the objects, each of the means of `cam.alignment` in percent."""
    like = _like(model, test_set)
    found: dict[str, list[Tensor]] = {}
    for start in range(0, len(test_set), batch_size):
        batch = test_set[start : start + batch_size].to(like.device)
        assert batch.masks is not None
        with full_precision(like.device):
            heat = CAMS[name](model, batch.images.to(like))
        for key, values in alignment(heat, batch.masks).items():
            found.setdefault(key, []).append(values)
    return {
        f"cam/{name}/{key}": 100 * torch.cat(values).nanmean().item()
        for key, values in found.items()
    }


def _corrupted(model: nn.Module, test_set: ImageSet, name: str, batch_size: int) -> float:
    """Accuracy in percent under a corruption, its mean over the severities."""
    like = _like(model, test_set)
    right = 0
    for start in range(0, len(test_set), batch_size):
        batch = test_set[start : start + batch_size]
        for severity in SEVERITIES:
            x = corrupt(batch.images, name, severity, first=start).to(like)
            right += int(_right(model, x, batch.labels.to(like.device)).sum())
    return 100 * right / (len(test_set) * len(SEVERITIES))


def attack_named(name: str, *, eps: float) -> Attack:
    """The attack that `evaluate` runs for a name.

    Args:
        name: as for `evaluate`, without "@".
        eps: the budget, in [0, 1], the same at every pixel.

    Raises:
        ValueError: an unknown name, or a budget that is not as above.
    """
    match = re.fullmatch(r"natural|fgsm|mma|aa|pgd([1-9]\d*)", name)
    if match is None:
        raise ValueError(
            f'attacks: "natural", "fgsm", "mma", "aa" or such as "pgd20" is needed, found {name!r}'
        )
    number("eps", eps)
    if not 0 <= eps <= 1:  # NaN fails here too
        raise ValueError(f"eps: values in [0, 1] are needed, found {eps!r}")
    if name == "natural" or eps == 0:
        return lambda model, x, y: x
    if name == "fgsm":
        return lambda model, x, y: fgsm(model, x, y, eps)
    if name == "mma":
        return lambda model, x, y: mma(model, x, y, eps, step_size=eps / 4)
    if name == "aa":
        return lambda model, x, y: autoattack(model, x, y, eps)
    steps = int(match[1])
    return lambda model, x, y: pgd(model, x, y, eps, step_size=eps / 4, steps=steps)


def attacks_named(names: Sequence[str], *, eps: float, size: int) -> dict[str, tuple[Attack, int]]:
    """The attacks that `evaluate` runs for names, and on how many of a set's images each.

    Args:
        names: as for `evaluate`.
        eps: the budget, as for `attack_named`.
        size: how many images the set has.

    Raises:
        ValueError: an unknown name, more images asked for than there are, or a bad budget.
    """
    kinds = {name: _on_first("attacks", name, size) for name in names}
    return {name: (attack_named(kind, eps=eps), n) for name, (kind, n) in kinds.items()}


def predict(model: nn.Module, x: Tensor) -> Tensor:
    """Logits (N, K) in eval mode and float32, the model left as it was found.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), float32 or float64. They may leave [0, 1], so that one can see what
            an attack without a clamp returned.

    Raises:
        ValueError: x is not as above, or not finite; the model cannot take it, or its outputs are
            not logits.
    """
    checks.images(x, beyond=sys.float_info.max)
    logits = _logits(model, x)
    checks.check_logits(logits, x.new_zeros(len(x), dtype=torch.int64))  # every model has a class 0
    return logits


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Accuracy in percent, in eval mode and float32, the model left as it was found.

    Args:
        model: maps images in [0, 1] to logits (N, K).
        x: images (N, C, H, W), float32 or float64 in [0, 1], or up to 1 beyond, where an attack
            without a clamp gets to.
        y: labels (N,), whole numbers in [0, K).

    Raises:
        ValueError: an argument is not as above, the model cannot take x, or its outputs are not
            logits.
    """
    checks.images(x, beyond=1)
    checks.labels(y, x)
    return 100 * _right(model, x, y).float().mean().item()


def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which predictions are right, bool (N,)."""
    logits = _logits(model, x)
    checks.check_logits(logits, y)
    return logits.argmax(dim=1) == y


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    checks.module(model)
    exact = full_precision(x.device)
    with untouched(model), torch.no_grad(), exact, checks.taken(model, x):
        logits: Tensor = model(x.clone())  # some models normalise in place
        return logits
