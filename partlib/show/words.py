"""Tables, sentences and labels made of the numbers of a run."""

import re
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd

from partlib.show.picture import ArrayLike, finite, nonempty, publish


def table(
    rows: pd.DataFrame | Sequence[Mapping[str, object]], *, caption: str, digits: int = 1
) -> None:
    """Display a table.

    Args:
        rows: a frame, or one mapping for each row.
        caption: what the table shows.
        digits: decimals that floats are rounded to.

    Raises:
        ValueError: for an empty caption.
    """
    frame = pd.DataFrame(rows)
    number = f"{{:.{digits}f}}".format
    html = frame.to_html(index=False, border=0, float_format=number, na_rep="")
    head, body = html.split(">", 1)
    html = f"{head}><caption>{escape(nonempty('caption', caption))}</caption>{body}"
    plain = frame.to_string(index=False, float_format=number, na_rep="")
    html = f'<div style="overflow-x:auto">{_typeset(html)}</div>'
    publish({"text/html": html, "text/plain": f"{caption}\n{plain}"})


def say(text: str) -> None:
    """Display a sentence of Markdown: the way in which numbers of a run get into the prose."""
    publish({"text/markdown": _typeset(nonempty("text", text)), "text/plain": text})


def verdicts(logits: ArrayLike, class_names: Sequence[str]) -> list[str]:
    """Say for logits (N, C) what the model sees, such as "seven 98 %", for labels of figures.

    The figure is the softmax of the logits, in whole percent.

    Raises:
        ValueError: for logits that are not finite, or another number of classes than of names.
    """
    scores = np.atleast_2d(finite("logits", logits))
    if scores.ndim != 2 or scores.shape[1] != len(class_names):
        raise ValueError(f"logits must be (N, {len(class_names)}), found {scores.shape}")
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    best = scores.argmax(axis=1)
    shares = odds.max(axis=1) / odds.sum(axis=1)
    return [f"{class_names[i]} {100 * s:.0f} %" for i, s in zip(best, shares, strict=True)]


def over_255(eps: float) -> str:
    """Write a budget as the field does: ``over_255(8 / 255) == "8/255"``."""
    return f"{round(255 * eps, 2):g}/255"


def _typeset(text: str) -> str:
    """Give numbers a true minus sign; keep a spread, an interval and a percentage on its line."""
    text = re.sub(r"(?<![\w.&#-])-(?=\d)", "\N{MINUS SIGN}", text)
    number = r"[+\N{MINUS SIGN}]?\d+\.\d+"
    kept = rf"{number} ± {number}|\({number} to {number}\)|\d %"
    return re.sub(kept, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
