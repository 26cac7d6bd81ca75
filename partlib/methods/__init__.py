"""Training methods: how a batch becomes a loss, as budget -> attack -> loss.

    at(), trades(), mart()           a constant budget
    part(at())                       the same, with a budget from a class activation map
    part(trades())                   PART-T, as the paper calls it
    part(mart())                     PART-M
    control(part(at()), "shuffled")  the same, with another map in the place of PART's
    quadrants(at())                  a budget for each quarter of the image

`part` wraps a method and changes its budget alone, which is what it means that PART is orthogonal
to the method (Zhang et al., 2024).
"""

from __future__ import annotations

from partlib.methods.constant import at, mart, natural, trades
from partlib.methods.controls import CONTROLS, control
from partlib.methods.mapped import part, quadrants
from partlib.methods.method import Method

__all__ = ["CONTROLS", "Method", "at", "control", "mart", "natural", "part", "quadrants", "trades"]
