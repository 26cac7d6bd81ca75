"""What is asked of the runs: which method is held against which, and what differs between them."""

from __future__ import annotations

from partlib.paper import METHODS

Question = tuple[str, str, str, str]
"""Two labels, their names in words, and what differs between them."""

CLAIM: tuple[Question, ...] = (
    ("part", "at", "PART − AT", "map and amount"),
    ("part-s10", "at", "PART (s=10) − AT", "map and amount, later"),
    ("part-trades", "trades", "PART-T − TRADES", "map and amount"),
    ("part-trades-s10", "trades", "PART-T (s=10) − TRADES", "map and amount, later"),
    ("part-mart", "mart", "PART-M − MART", "map and amount"),
    ("part-mart-s10", "mart", "PART-M (s=10) − MART", "map and amount, later"),
)
"""What the paper compares: PART around a method, and the method."""

CONTROLS: tuple[Question, ...] = (
    ("part", "at-like-part", "PART − equal mean", "the map, and steps within it"),
    ("part", "part-shuffled", "PART − shuffled", "whose map it is"),
    ("part", "part-random", "PART − random", "the map's shape and place"),
    ("part-oracle", "at-like-part-oracle", "true mask − equal mean", "the object's own mask"),
    ("part-inverted", "at-like-part-inverted", "inverted − equal mean", "a map turned round"),
    ("part-published", "at-like-part-published", "published rule − equal mean", "that rule's map"),
)
"""What the paper does not compare: PART's map against others, at equal mean budgets."""

ROUNDING: tuple[Question, ...] = (
    ("part-xgrad_cam", "part", "PART (s=1) by other sums − PART (s=1)", ""),
    *((f"{key}-fp32", key, f"{name} in float32 − {name}", "") for name, key in METHODS.items()),
)
"""A method against itself: other sums and threads, or float32 in place of bfloat16."""

MAP = 3
"""The first so many of `CONTROLS` say whether the map matters."""
