"""The loop of training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from partlib import checkpoints
from partlib.attacks import noise
from partlib.attacks.checks import NotFiniteError
from partlib.data import ImageSet, shift_and_flip, to_float
from partlib.methods import Method
from partlib.preserve import no_tf32, repeatable, seeded, untouched
from partlib.training import identity, inputs, processes, watch
from partlib.training.config import TrainConfig, learning_rate
from partlib.training.graphed import Graphed
from partlib.training.precision import mixed_precision, uses_bf16
from partlib.training.watch import Row

OnEpoch = Callable[[nn.Module, Row], None]

APART = 10_000  # epochs, so that no process's stream is another's


@repeatable()
def fit(
    model: nn.Module,
    train_set: ImageSet,
    method: Method,
    config: TrainConfig,
    *,
    val_set: ImageSet | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
    max_batches: int | None = None,
) -> list[Row]:
    """Train a model in place, on the device that it is on.

    Every random choice of an epoch, dropout's too, follows from the seed and the epoch's number,
    so a run that was killed and is started again with the same `checkpoint` ends in the same
    weights as one that was not: bit for bit on the same processor with as many threads and the
    same versions. On a GPU cuDNN is held to algorithms that repeat; what torch has no such
    algorithm for, and none of `models` uses, may still differ there in the last bits.

    Where `torch.distributed` is initialised, as by `torchrun`, all processes call this with the
    same arguments and train one network: each takes its share of every batch, and batch
    normalisation is over the whole batch, so that they end where one process would but for
    rounding. The first process writes the checkpoint, all read it.

    Args:
        model: maps images in [0, 1] to logits. Ends in eval mode, its weights in channels_last,
            the faster layout, if it can take images in it.
        train_set: its bytes are moved to the model's device whole.
        method: budget, attack and loss.
        config: everything else.
        val_set: images to choose on, never the test set: the model ends with the weights of the
            epoch that is best on them, see `best_epoch`. None ends with those of the last epoch.
        checkpoint: a file to write after each epoch and to go on from where it is there, which
            takes the same arguments; the model's own weights are then replaced.
        progress: whether to show a bar (on a terminal or in a notebook).
        on_epoch: called after each epoch, in the first process, with the model and that epoch's
            row of the history.
        max_batches: stop each epoch early, to try a set-up out.

    Returns:
        The history: one row an epoch, with the epoch (from 1), lr, mean loss, accuracy in
        percent on the batches as trained on, mean budget in 1/255, "one_class" (the mean share
        of a batch, in percent, that gets its commonest prediction) and seconds; with a validation
        set "val_natural" and, under attack, "val_robust", see `watch.validate`.

    Raises:
        FloatingPointError: the loss became NaN or infinite, or the network collapsed to one
            class; says what to try.
        ValueError: no weights, no images, or no batch; labels that the model has no logit for; a
            layer that it has not; the checkpoint is none, of another run, whose difference is said,
            not the same in all processes, or cannot be written; a method that no checkpoint can
            record; patience without a validation set, or an empty one; a batch too small for the
            processes, or several processes for a control, which changes maps across a whole batch.
    """
    inputs.check(model, train_set, method, config, val_set=val_set, max_batches=max_batches)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    device = next(model.parameters()).device
    images = train_set.to(device)
    layout = inputs.laid_out(model, images, config)
    guide = model if method.refresh == 1 else copy.deepcopy(model)
    parts = {"model": model} if guide is model else {"model": model, "guide": guide}
    held_out = None if val_set is None else val_set.to(device)
    if held_out is not None:
        parts["best"] = copy.deepcopy(model)
    optimizer = _optimizer(model, config)
    history: list[Row] = []
    run: dict[str, Any] = {}
    if checkpoint is not None:
        run = identity.identity(train_set, method, config, val_set=val_set, max_batches=max_batches)
        bf16 = uses_bf16(device, config.precision)
        run["precision"] = "bf16" if bf16 else "fp32"
        if checkpoint.exists():
            identity.check(checkpoint, run)
            history = checkpoints.load_state(checkpoint, parts, optimizer)["history"]
    processes.agree("checkpoint", len(history))
    loop = _Loop(model, guide, images, method, config, optimizer, layout)
    first = processes.rank() == 0
    if checkpoint is not None and first:
        checkpoints.sweep(checkpoint)
    if checkpoint is not None and not watch.finished(history, config):
        checkpoints.check_writable(checkpoint, name="checkpoint")
    while not watch.finished(history, config):
        epoch = len(history)
        if guide is not model and (epoch - method.warmup) % method.refresh == 0:
            guide.load_state_dict(model.state_dict())
        with seeded(_mix(config.seed, epoch + APART * (1 + processes.rank()))):  # for dropout
            row, seen = loop.epoch(epoch, progress and first, max_batches)
        history.append(row)
        watch.check(history, images.labels, seen, config)
        if held_out is not None:
            row.update(watch.validate(model, held_out, method.eps))
            if watch.best_epoch(history) == len(history):
                parts["best"].load_state_dict(model.state_dict())
        if checkpoint is not None and first:
            checkpoints.save_state(checkpoint, parts, optimizer, {"run": run, "history": history})
        if on_epoch is not None and first:
            model.eval()
            on_epoch(model, row)
    if held_out is not None:
        model.load_state_dict(parts["best"].state_dict())
    model.eval()
    return history


class _Loop:
    """What does not change from epoch to epoch, and the three shapes that the model has.

    `model` is the bare one, `fast` the same as attacks call it, and `learner` what the loss is
    taken of.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        images: ImageSet,
        method: Method,
        config: TrainConfig,
        optimizer: torch.optim.Optimizer,
        layout: torch.memory_format,
    ) -> None:
        self.model, self.guide, self.images = model, guide, images
        self.method, self.config, self.optimizer, self.layout = method, config, optimizer, layout
        self.fast: nn.Module = model
        if config.compile:
            # Fixed shapes: which kernels run must not depend on what ran before a restart.
            self.fast = cast(nn.Module, torch.compile(model, dynamic=False))
        elif config.graphs and images.pixels.is_cuda and processes.size() == 1:
            self.fast = Graphed(model)
        self.learner = self.fast if processes.size() == 1 else processes.learner(model)

    @no_tf32()  # here and not in `step` alone, since gradients are taken outside autocast
    def epoch(self, epoch: int, bar: bool, max_batches: int | None) -> tuple[Row, int]:
        """One pass over the images; its row of the history, and how many images it saw."""
        start = time.perf_counter()
        config, images = self.config, self.images
        device = images.pixels.device
        draws = torch.Generator().manual_seed(_mix(config.seed, epoch))
        random = torch.Generator(device=device).manual_seed(_mix(config.seed, epoch) + 1)
        batches = torch.randperm(len(images), generator=draws).split(config.batch_size)
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches = batches[:-1]  # BatchNorm needs two images
        if len(batches[-1]) < processes.size():
            raise ValueError(
                f"batch_size: an image for each of {processes.size()} processes is needed in "
                f"every batch, found one of {len(batches[-1])}"
            )
        total = config.epochs * len(batches)
        chosen = batches[:max_batches]
        shown = tqdm(chosen, desc=f"epoch {epoch + 1}/{config.epochs}", disable=not bar or None)
        sums = torch.zeros(4, device=device)
        seen = 0
        lr = 0.0
        for i, index in enumerate(shown):
            step = epoch * len(batches) + i
            lr = learning_rate(config, step, total)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            ramp = min(1.0, step / (config.ramp * total)) if config.ramp else 1.0
            index = index.to(device)
            moving = images.pixels[index]
            if images.object_pixels is not None:  # true masks move with their images
                moving = torch.cat([moving, images.object_pixels[index][:, None]], dim=1)
            moved = shift_and_flip(moving, pad=config.pad, flip=config.flip, generator=draws)
            sums += self.step(moved, images.labels[index], epoch, ramp, random)
            seen += len(index)
        loss, right, eps, same = (processes.total(sums) / seen).tolist()
        row = {
            "epoch": epoch + 1,
            "lr": lr,
            "loss": loss,
            "accuracy": 100 * right,
            "mean_eps": 255 * eps,
            "one_class": 100 * same,
            "seconds": round(time.perf_counter() - start, 3),
        }
        return row, seen

    def step(
        self, moved: Tensor, labels: Tensor, epoch: int, ramp: float, random: torch.Generator
    ) -> Tensor:
        """One batch: budget, attack, loss, descent. Sums over this process's share of it.

        They are of the loss, right predictions, the budget, and images in the commonest class.
        `moved` are the images as bytes, with their true masks as a fourth channel if they have any.
        """
        mine = processes.share(len(moved))
        dtype = next(self.model.parameters()).dtype
        pixels = moved[:, :3]
        masks = to_float(moved[mine, 3]) if moved.shape[1] == 4 else None
        x = to_float(pixels[mine]).to(dtype).contiguous(memory_format=self.layout)
        y = labels[mine]
        lost = False
        with mixed_precision(x.device, self.config.precision):
            try:
                eps = self.method.budget(
                    self.guide, x, y, epoch=epoch, masks=masks, generator=random
                )
                method = self.method
                if processes.size() > 1 and method.steps and ramp:
                    start = _noise(method, pixels.shape, random)[mine].to(dtype)
                    start = start if method.start == "normal" else ramp * eps * start
                    method = replace(method, start=start)
                x_adv = method.attack(self.fast, x, y, eps, ramp=ramp, generator=random)
            except ValueError as error:
                if not (isinstance(error, NotFiniteError) or _diverged(self.model, x)):
                    raise
                lost, eps, x_adv = True, 0.0, x  # no early return: other processes would wait
            self.learner.train()
            loss, logits = self.method.outer(self.learner, x, x_adv, y)
        self.optimizer.zero_grad(set_to_none=True)
        weighed = loss
        if processes.size() > 1:  # gradients are averaged over processes, not over images
            weighed = loss * (processes.size() * len(y) / len(labels))
        weighed.backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        said = logits.argmax(dim=1)
        same = F.one_hot(said, logits.shape[1]).sum(dim=0).amax()
        budget = torch.as_tensor(ramp * eps, device=x.device).float().mean()
        sums = torch.stack([loss.detach() * len(y), (said == y).sum(), budget * len(y), same])
        return torch.full_like(sums, torch.nan) if lost else sums  # `fit` says what to try


def _noise(method: Method, shape: torch.Size, random: torch.Generator) -> Tensor:
    """The noise that one process would draw for the whole batch."""
    assert not isinstance(method.start, Tensor)
    return noise(method.start, shape, random)


def _diverged(model: nn.Module, x: Tensor) -> bool:
    """Whether the logits are no longer finite, which attacks refuse as they do any bad input."""
    with untouched(model), torch.no_grad():
        return not bool(model(x).isfinite().all())


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
