"""What methods and trainings refuse of their numbers."""

from __future__ import annotations

from numbers import Real


def number(name: str, value: object, hint: str = "") -> None:
    """Refuse what is not a number of Python's own, as JSON holds them; a truth value too.

    Raises:
        ValueError: names the argument and what was found; `hint` is said behind it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        shape = getattr(value, "shape", None)
        if not isinstance(value, bool) and isinstance(value, Real):  # such as numpy.float32
            shape, hint = None, f"; write float({name})"
        found = repr(value) if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"
        raise ValueError(f"{name}: a number is needed, found {found}{hint}")
