"""Training: one loop for every method, exact to repeat and to resume, in one process or several."""

from partlib.training.config import TrainConfig, learning_rate
from partlib.training.loop import OnEpoch, fit
from partlib.training.precision import mixed_precision, uses_bf16
from partlib.training.watch import Row, best_epoch

__all__ = [
    "OnEpoch",
    "Row",
    "TrainConfig",
    "best_epoch",
    "fit",
    "learning_rate",
    "mixed_precision",
    "uses_bf16",
]
