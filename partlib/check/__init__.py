"""Checks of the book's exercises: `check.NAME(answer)` says whether an answer is right, or a hint.

An answer's properties are compared with a reference on a small random network. A check never
raises, and of an untouched stub it says "not implemented yet".
"""

from partlib.check.answers import CHECKS, NOT_YET, RIGHT, verdict
from partlib.check.of_attacks import (
    as_bytes,
    at_the_limit,
    by_asking,
    by_luck,
    losses,
    project_l2,
    straight_through,
    targeted,
    unprojected,
)
from partlib.check.of_bugs import is_sound, mended, of_images
from partlib.check.of_maps import (
    checkerboard,
    equal_mean,
    images_needed,
    mean_of_quarters,
    of_random_class,
    other_masks,
    pixel_ag_clamp,
    points_at,
    rather_than,
    seeds_needed,
    unpaired_sd,
)
from partlib.check.of_reading import false_alarm, monotone, same_class, without_times
from partlib.check.of_training import buffers_changed, mixture_loss, natural_beta

__all__ = [
    "CHECKS",
    "NOT_YET",
    "RIGHT",
    "as_bytes",
    "at_the_limit",
    "buffers_changed",
    "by_asking",
    "by_luck",
    "checkerboard",
    "equal_mean",
    "false_alarm",
    "images_needed",
    "is_sound",
    "losses",
    "mean_of_quarters",
    "mended",
    "mixture_loss",
    "monotone",
    "natural_beta",
    "of_images",
    "of_random_class",
    "other_masks",
    "pixel_ag_clamp",
    "points_at",
    "project_l2",
    "rather_than",
    "same_class",
    "seeds_needed",
    "straight_through",
    "targeted",
    "unpaired_sd",
    "unprojected",
    "verdict",
    "without_times",
]
