"""The settings of methods: recorded plainly, the paper's by default, bad ones named."""

import json
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from partlib import methods
from partlib.methods import Method


@pytest.mark.parametrize(
    "method",
    [methods.natural(), methods.at(), methods.part(methods.at(), warmup=1)],
    ids=["natural", "at", "part"],
)
def test_the_record_of_a_method_is_plain(method: Method) -> None:
    assert json.loads(json.dumps(method.settings)) == method.settings
    assert method.settings["method"] == method.name


def test_the_papers_settings_are_the_defaults() -> None:
    method = methods.part(methods.at())
    assert (method.eps, method.steps, method.step_size) == (8 / 255, 10, 2 / 255)
    assert method.settings["eps_low"] == 7 / 255
    assert (method.refresh, method.update, method.start, method.inner) == (
        1,
        "multiply",
        "uniform",
        "ce",
    )
    assert method.settings["base"] == methods.at().settings
    for made in (methods.trades(), methods.mart()):
        assert (made.eps, made.steps, made.step_size) == (8 / 255, 10, 2 / 255)
        assert made.settings["beta"] == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: methods.at(eps=8), "eps: a value in [0, 1] is needed, found 8"),
        (
            lambda: methods.at(eps=torch.zeros(4, 5)),  # type: ignore[arg-type]
            "eps: a number is needed, found Tensor of shape (4, 5); quadrants and part train",
        ),
        (
            lambda: methods.at(step_size="2/255"),  # type: ignore[arg-type]
            "step_size: a number is needed, found '2/255'",
        ),
        (
            lambda: methods.part(methods.at(), eps_low=torch.zeros(4, 5)),  # type: ignore[arg-type]
            "eps_low: a number is needed, found Tensor of shape (4, 5)",
        ),
        (
            lambda: methods.trades(beta=np.float32(6)),  # type: ignore[arg-type]
            "beta: a number is needed, found np.float32(6.0); write float(beta)",
        ),
        (
            lambda: methods.part(methods.at(), layer=nn.Conv2d(3, 4, 1)),  # type: ignore[arg-type]
            "layer: a dotted name or None is needed, found Conv2d(3, 4",
        ),
        (lambda: methods.at(eps=-0.1), "eps: a value in [0, 1] is needed, found -0.1"),
        (lambda: methods.trades(beta=-1), "beta: a value of 0 or more is needed, found -1"),
        (
            lambda: methods.mart(beta=float("nan")),
            "beta: a value of 0 or more is needed, found nan",
        ),
        (lambda: methods.mart(eps=2), "eps: a value in [0, 1] is needed, found 2"),
        (lambda: methods.at(steps=0), "steps: a whole number, 1 or more, is needed, found 0"),
        (lambda: methods.at(steps=True), "steps: a whole number, 1 or more, is needed, found True"),
        (lambda: methods.at(step_size=0), "step_size: a value above 0 is needed, found 0"),
        (
            lambda: methods.at(step_size=float("nan")),
            "step_size: a value above 0 is needed, found nan",
        ),
        (
            lambda: methods.part(methods.natural()),
            "base: a method that attacks is needed, found 'natural'",
        ),
        (
            lambda: methods.part(methods.part(methods.trades())),
            "base: a method with a constant budget is needed, found 'part-trades'",
        ),
        (
            lambda: methods.quadrants(methods.part(methods.at()), ul=0, ur=0, bl=0, br=0),
            "base: a method with a constant budget is needed, found 'part'",
        ),
        (
            lambda: methods.part(methods.at(), eps_low=0.5),
            "eps_low: a value in [0, 0.0314] is needed, found 0.5",
        ),
        (
            lambda: methods.part(methods.at(), eps_low=-0.1),
            "eps_low: a value in [0, 0.0314] is needed, found -0.1",
        ),
        (
            lambda: methods.part(methods.at(), cam="xcam"),
            "cam: one of cam, grad_cam, xgrad_cam, layer_cam is needed, found 'xcam'",
        ),
        (
            lambda: methods.part(methods.at(), refresh=0),
            "refresh: a whole number, 1 or more, is needed, found 0",
        ),
        (
            lambda: methods.part(methods.at(), refresh=True),
            "refresh: a whole number, 1 or more, is needed, found True",
        ),
        (
            lambda: methods.part(methods.at(), warmup=-1),
            "warmup: a whole number, 0 or more, is needed, found -1",
        ),
        (
            lambda: methods.part(methods.at(), warmup=True),
            "warmup: a whole number, 0 or more, is needed, found True",
        ),
        (
            lambda: methods.part(methods.at(), update="add"),
            'update: "clamp" or "multiply" is needed, found \'add\'',
        ),
    ],
)
def test_bad_settings_are_named(call: Callable[[], Method], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
