"""The settings of a training, and the learning rate that follows from them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from partlib.attacks.checks import count
from partlib.methods.checks import number

SEEDS = 2**31
"""Seeds below this differ in all that they draw: processors keep 32 bits of one."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything about a run but the data, the network and the method.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step, of all processes together.
        optimizer: "adamw" or "sgd" (momentum 0.9).
        lr: the highest learning rate.
        weight_decay: decay of the weights (decoupled for AdamW).
        schedule: "one-cycle" rises linearly for 15 % of the steps and falls as a cosine to
            0; "steps" divides by 10 at each of `milestones`.
        milestones: epochs at which "steps" divides; of another schedule there are none.
        ramp: share of the steps in which the budget grows from 0 to its full size; 0 for none.
        clip: largest norm of the gradient of the weights; 0 for no limit.
        pad: random shifts of up to so many pixels.
        flip: mirror half of the images.
        precision: "bf16" runs attack and step in mixed precision, "fp32" does not, "auto"
            takes bf16 where the processor has it. Evaluation is always fp32.
        seed: seed of the order, the shifts and the random starts, below 2**31.
        patience: with a validation set, stop after so many epochs without a better one; 0 for
            never.
        compile: run the network through `torch.compile`; of several processes, in attacks alone.
            The compiler takes its time first, so it is for long runs.
        graphs: on a GPU, and without `compile`, replay the passes of attacks as CUDA graphs, see
            `graphed.Graphed`; elsewhere it changes nothing.

    Raises:
        ValueError: a value that no run could use.
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
    patience: int = 0
    compile: bool = False
    graphs: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no run could use, by name."""
        whole = {"epochs": 1, "batch_size": 1, "pad": 0, "seed": 0, "patience": 0}
        for name, least in whole.items():
            count(name, getattr(self, name), least=least)
        if self.seed >= SEEDS:
            raise ValueError(f"seed: a number below {SEEDS} is needed, found {self.seed!r}")
        listed = isinstance(self.milestones, (tuple, list))
        if not listed or not all(isinstance(m, int) and m >= 0 for m in self.milestones):
            raise ValueError(f"milestones: epochs are needed, found {self.milestones!r}")
        for name in ("flip", "compile", "graphs"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: a bool is needed, found {getattr(self, name)!r}")
        for name in ("lr", "weight_decay", "ramp", "clip"):
            number(name, getattr(self, name))
        for name in ("weight_decay", "clip"):
            if not 0 <= getattr(self, name) < math.inf:  # NaN fails here too
                raise ValueError(f"{name}: 0 or more is needed, found {getattr(self, name)!r}")
        if not 0 < self.lr < math.inf:
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
        if self.milestones and self.schedule != "steps":  # else they would do nothing
            raise ValueError(
                f'milestones: the schedule "steps" is needed for any, not {self.schedule!r}, found '
                f"{self.milestones!r}"
            )

    def record(self) -> dict[str, Any]:
        """The configuration as JSON gives it back; what came later only where it is used."""
        found = {**asdict(self), "milestones": list(self.milestones)}
        return {k: v for k, v in found.items() if v or k not in ("patience", "compile", "graphs")}


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """The learning rate of a step, a pure function so that resuming is exact.

    Args:
        config: the schedule.
        step: the step, from 0.
        total: how many steps the run has.
    """
    if config.schedule == "steps":
        epoch = step * config.epochs // total
        return config.lr * 0.1 ** sum(epoch >= m for m in config.milestones)
    rise = max(1, round(0.15 * total))
    if step < rise:
        return config.lr * (step + 1) / rise
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
