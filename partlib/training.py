"""Training: one loop for every method, exact to repeat and to resume."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from partlib import checkpoints
from partlib.data import ImageSet, shift_and_flip, to_float
from partlib.methods import Method
from partlib.preserve import untouched

Row = dict[str, float]
OnEpoch = Callable[[nn.Module, Row], None]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything about a run but the data, the network and the method.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step.
        optimizer: "adamw" or "sgd" (momentum 0.9).
        lr: the highest learning rate.
        weight_decay: decay of the weights (decoupled for AdamW).
        schedule: "one-cycle" rises linearly for 15 % of the steps and falls as a cosine to
            0; "steps" divides by 10 at each of `milestones`.
        milestones: epochs at which "steps" divides.
        ramp: share of the steps in which the budget grows from 0 to its full size; 0 for none.
        clip: largest norm of the gradient of the weights; 0 for no limit.
        pad: random shifts of up to so many pixels.
        flip: mirror half of the images.
        precision: "bf16" runs attack and step in mixed precision, "fp32" does not, "auto"
            takes bf16 where the processor has it. Evaluation is always fp32.
        seed: seed of the order, the shifts and the random starts.
    """

    epochs: int = 8
    batch_size: int = 128
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 3e-3
    weight_decay: float = 5e-3
    schedule: Literal["one-cycle", "steps"] = "one-cycle"
    milestones: tuple[int, ...] = ()
    ramp: float = 0.5
    clip: float = 1.0
    pad: int = 2
    flip: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no run could use, by name."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: 1 or more is needed, found {getattr(self, name)!r}")
        for name in ("weight_decay", "clip", "pad", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: 0 or more is needed, found {getattr(self, name)!r}")
        if self.lr <= 0:
            raise ValueError(f"lr: a value above 0 is needed, found {self.lr!r}")
        if not 0 <= self.ramp <= 1:
            raise ValueError(f"ramp: a share in [0, 1] is needed, found {self.ramp!r}")
        for name, choices in {
            "optimizer": ("adamw", "sgd"),
            "schedule": ("one-cycle", "steps"),
            "precision": ("auto", "bf16", "fp32"),
        }.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}: one of {', '.join(choices)} is needed, found {getattr(self, name)!r}"
                )

    def record(self) -> dict[str, Any]:
        """The configuration as JSON gives it back."""
        return {**asdict(self), "milestones": list(self.milestones)}


def fit(
    model: nn.Module,
    train_set: ImageSet,
    method: Method,
    config: TrainConfig,
    *,
    checkpoint: Path | None = None,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
    max_batches: int | None = None,
) -> list[Row]:
    """Train a model in place, on the device that it is on.

    Every random choice of an epoch follows from the seed and the epoch's number, so a run that
    was killed and is started again with the same `checkpoint` ends in the same weights as one
    that was not, on the same machine.

    Args:
        model: maps images in [0, 1] to logits. Ends in eval mode.
        train_set: its bytes are moved to the model's device whole.
        method: budget, attack and loss.
        config: everything else.
        checkpoint: a file to write after each epoch and to go on from where it is there.
        progress: whether to show a bar (on a terminal or in a notebook).
        on_epoch: called after each epoch with the model and that epoch's row of the history.
        max_batches: stop each epoch early, to try a set-up out.

    Returns:
        The history: one row an epoch, with the epoch (from 1), lr, mean loss, accuracy in
        percent on the batches as trained on, mean budget in 1/255, and seconds.

    Raises:
        FloatingPointError: the loss became NaN or infinite; says what to try.
        ValueError: the checkpoint is of another run.
    """
    device = next(model.parameters()).device
    images = train_set.to(device)
    model.to(memory_format=torch.channels_last)
    optimizer = _optimizer(model, config)
    guide = model if method.refresh == 1 else copy.deepcopy(model)
    parts = {"model": model} if guide is model else {"model": model, "guide": guide}
    run = {
        "data": f"{images.name} {images.split} {images.note}".strip(),
        "n": len(images),
        "max_batches": max_batches,
        "config": config.record(),
        "method": dict(method.settings),
    }
    history: list[Row] = []
    if checkpoint is not None and checkpoint.exists():
        found = checkpoints.read_meta(checkpoint)
        if found["run"] != run:
            raise ValueError(f"checkpoint: {checkpoint} is of another run, {found['run']}")
        history = checkpoints.load_state(checkpoint, parts, optimizer)["history"]
    for epoch in range(len(history), config.epochs):
        if guide is not model and (epoch - method.warmup) % method.refresh == 0:
            guide.load_state_dict(model.state_dict())
        row = _epoch(model, guide, images, method, config, optimizer, epoch, progress, max_batches)
        history.append(row)
        if not math.isfinite(row["loss"]):
            raise FloatingPointError(
                f"the loss is {row['loss']} in epoch {epoch + 1}: try a lower lr (it is "
                f"{config.lr}), a longer ramp ({config.ramp}) or clip=1 (it is {config.clip})"
            )
        if checkpoint is not None:
            checkpoints.save_state(checkpoint, parts, optimizer, {"run": run, "history": history})
        if on_epoch is not None:
            model.eval()
            on_epoch(model, row)
    model.eval()
    return history


def _epoch(
    model: nn.Module,
    guide: nn.Module,
    images: ImageSet,
    method: Method,
    config: TrainConfig,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    progress: bool,
    max_batches: int | None,
) -> Row:
    start = time.perf_counter()
    device = images.pixels.device
    draws = torch.Generator().manual_seed(_mix(config.seed, epoch))
    noise = torch.Generator(device=device).manual_seed(_mix(config.seed, epoch) + 1)
    batches = torch.randperm(len(images), generator=draws).split(config.batch_size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches = batches[:-1]  # BatchNorm needs two images
    total = config.epochs * len(batches)
    chosen = batches[:max_batches]
    bar = tqdm(chosen, desc=f"epoch {epoch + 1}/{config.epochs}", disable=not progress or None)
    sums = torch.zeros(3, device=device)
    seen = 0
    lr = 0.0
    for i, index in enumerate(bar):
        step = epoch * len(batches) + i
        lr = learning_rate(config, step, total)
        for group in optimizer.param_groups:
            group["lr"] = lr
        ramp = min(1.0, step / (config.ramp * total)) if config.ramp else 1.0
        index = index.to(device)
        x, masks = _augmented(images[index], config, draws)
        y = images.labels[index]
        sums += _step(model, guide, x, y, masks, method, config, optimizer, epoch, ramp, noise)
        seen += len(index)
    loss, right, eps = (sums / seen).tolist()
    return {
        "epoch": epoch + 1,
        "lr": lr,
        "loss": loss,
        "accuracy": 100 * right,
        "mean_eps": 255 * eps,
        "seconds": round(time.perf_counter() - start, 3),
    }


def _augmented(
    images: ImageSet, config: TrainConfig, draws: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Images and, where they are known, their true masks, moved alike."""
    moving, masks = images.pixels, images.object_pixels
    if masks is not None:
        moving = torch.cat([moving, masks[:, None]], dim=1)
    moved = to_float(shift_and_flip(moving, pad=config.pad, flip=config.flip, generator=draws))
    x = moved[:, :3].contiguous(memory_format=torch.channels_last)
    return x, None if masks is None else moved[:, 3]


def _step(
    model: nn.Module,
    guide: nn.Module,
    x: Tensor,
    y: Tensor,
    masks: Tensor | None,
    method: Method,
    config: TrainConfig,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    ramp: float,
    noise: torch.Generator,
) -> Tensor:
    """One batch: budget, attack, loss, descent. Sums of loss, right predictions and budget."""
    with mixed_precision(x.device, config.precision):
        try:
            eps = method.budget(guide, x, y, epoch=epoch, masks=masks, generator=noise)
            x_adv = method.attack(model, x, y, eps, ramp=ramp, generator=noise)
        except ValueError:
            if not _diverged(model, x):
                raise
            return torch.full((3,), torch.nan, device=x.device)  # `fit` says what to try
        model.train()
        loss, logits = method.outer(model, x, x_adv, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if config.clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    right = (logits.argmax(dim=1) == y).sum()
    budget = torch.as_tensor(ramp * eps, device=x.device).float().mean()
    return torch.stack([loss.detach() * len(y), right, budget * len(y)])


def _diverged(model: nn.Module, x: Tensor) -> bool:
    """Whether the logits are no longer finite, which attacks refuse as they do any bad input."""
    with untouched(model), torch.no_grad():
        return not bool(model(x).isfinite().all())


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """The learning rate of a step out of `total`, a pure function so that resuming is exact."""
    if config.schedule == "steps":
        epoch = step * config.epochs // total
        return config.lr * 0.1 ** sum(epoch >= m for m in config.milestones)
    rise = max(1, round(0.15 * total))
    if step < rise:
        return config.lr * (step + 1) / rise
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Autocast to bfloat16, or, with "fp32", a guard that switches any autocast off."""
    bf16 = uses_bf16(device, precision)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def uses_bf16(device: torch.device, precision: str) -> bool:
    """What a `precision` means on a device; "auto" asks whether its bfloat16 is the faster one."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    fused = next(model.parameters()).device.type in ("cuda", "cpu")
    if config.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=fused
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=0.9,
        weight_decay=config.weight_decay,
        fused=fused,
    )


def _mix(seed: int, epoch: int) -> int:
    """One number for a seed and an epoch; two apart, so that a second stream fits between."""
    return 2 * (seed * 1_000_003 + epoch)
