"""The exercises on results and on reading a paper."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from partlib.check.answers import exercise, near, need, same, stub


@exercise
def without_times(answer: Any) -> None:
    """A result without its times, at any depth."""
    rows: list[dict[str, Any]] = [{"epoch": 1, "loss": 2.5, "seconds": 3.0}, {"seconds": 1.0}]
    entry = {"seed": 0, "seconds": {"train": 9.0}, "history": rows, "more": {"deep": rows}}
    before = deepcopy(entry)
    found = answer(entry)
    need(entry == before, "the result that is given must stay as it is: build a new one")
    stub(found == entry)
    bare = [{"epoch": 1, "loss": 2.5}, {}]
    need(isinstance(found, dict) and "seed" in found, "only the times must go")
    need("seconds" not in found, 'the key "seconds" is still there')
    need(found.get("history") == bare, "times are in the rows of the history, too")
    need(found == {"seed": 0, "history": bare, "more": {"deep": bare}}, "go down to any depth")


@exercise
def monotone(answer: Any) -> None:
    """Whether a rule leaves no pixel out that is hotter than one it marks."""
    source = torch.Generator().manual_seed(0)
    heat = torch.rand(30, 6, 8, generator=source)
    fair = heat > torch.linspace(-0.1, 1.1, 30)[:, None, None]  # none, some or all of the pixels
    for marked, expected in (
        (torch.rand(30, 6, 8, generator=source) > 0.5, torch.zeros(30).bool()),
        (fair, torch.ones(30).bool()),
    ):
        found = answer(heat, marked)
        stub(not expected.any() and same(found, ~expected))
        need(getattr(found, "shape", None) == (30,), "one answer for each image")
        need(same(found, expected), "hold the coolest marked pixel against the hottest unmarked")
    level, half = torch.full((1, 2, 2), 0.5), torch.eye(2).bool()[None]
    need(same(answer(level, half), torch.ones(1).bool()), "equally hot is hot enough")
    one = fair.clone()
    one[10].view(-1)[heat[10].argmax()] = False
    need(same(answer(heat, one), torch.arange(30) != 10), "one hotter pixel left out is enough")


@exercise
def same_class(answer: Any) -> None:
    """Each image with the mask of another of its class."""
    y = torch.tensor([0, 1, 0, 2, 1, 0, 1, 3])  # turned round, a class of three leaves one alone
    masks = torch.rand(8, 6, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    given = masks.clone()
    found = answer(given, y)
    need(same(given, masks, atol=0), "the masks that are given must stay as they are: clone")
    stub(same(found, masks, atol=0))
    need(getattr(found, "shape", None) == masks.shape, "as many masks as before, of their size")
    equal = (found[:, None] == masks[None]).all(dim=3).all(dim=2)  # (found, mask)
    need(equal.any(dim=1).all(), "each must be the whole mask of some image")
    need(not (equal & (y[:, None] != y)).any(), "some mask comes from another class")
    need((equal.sum(dim=0) == 1).all(), "each mask is used once")
    need(same(equal.diagonal(), y >= 2), "only the one image of a class may keep its own")


@exercise
def false_alarm(answer: Any) -> None:
    """The probability of an effect among k intervals where there is none."""
    stub(answer(1) == 0)
    need(not near(answer(3), 0.15), "that is how many are expected, not how probable one is")
    need(not near(answer(3), 0.05**3), "that is the probability that all of them do")
    need(not near(answer(3), 0.95**3), "that is the probability that none does")
    for k in (1, 2, 12):
        need(near(answer(k), 1 - 0.95**k), "one minus the probability that all k hold zero")
