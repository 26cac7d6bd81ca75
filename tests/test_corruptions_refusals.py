"""Corruptions: what they cannot work with is refused by name, with its value."""

import re
from typing import Any

import pytest
import torch
from corrupted import flat
from hypothesis import given, settings
from hypothesis import strategies as st

from partlib.corruptions import NAMES, SEVERITIES, corrupt

GOOD: dict[str, Any] = {"x": flat(0.5, 2), "name": "fog", "severity": 1, "seed": 0, "first": 0}


@pytest.mark.parametrize(
    ("argument", "value", "found"),
    [
        ("x", [0.5], "list"),
        ("x", flat(0.5).byte(), "torch.uint8"),
        ("x", flat(0.5)[0], "(3, 32, 32)"),
        ("x", flat(0.5)[:, :1], "(8, 1, 32, 32)"),
        ("x", flat(0.5)[:, :, :15], "(8, 3, 15, 32)"),
        ("x", flat(0.5)[..., :15], "(8, 3, 32, 15)"),
        ("x", flat(0.5)[:0], "(0, 3, 32, 32)"),
        ("x", flat(1.5), "1.5 to 1.5"),
        ("x", flat(-0.5), "-0.5 to -0.5"),
        ("x", flat(float("nan")), "nan"),
        ("name", "rain", "'rain'"),
        ("name", None, "None"),
        ("severity", 0, "0"),
        ("severity", 6, "6"),
        ("severity", 2.5, "2.5"),
        ("severity", 2.0, "2.0"),
        ("severity", True, "True"),
        ("severity", "3", "'3'"),
        ("seed", -1, "-1"),
        ("seed", 1.0, "1.0"),
        ("seed", True, "True"),
        ("first", -1, "-1"),
        ("first", None, "None"),
    ],
)
def test_bad_input_is_named(argument: str, value: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: .*found .*{re.escape(found)}"):
        corrupt(**{**GOOD, argument: value})


@settings(max_examples=150)
@given(data=st.data())
def test_any_input_works_or_is_refused_by_name(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 15, 16, 17, 20]), max_size=5))
    if data.draw(st.booleans()):
        shape = [2, 3, data.draw(st.integers(14, 20)), data.draw(st.integers(14, 20))]
    value = data.draw(st.sampled_from([0, 0.5, 1, -1e-6, 1.001, float("nan"), float("inf")]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64]))
    filled = 0 if dtype == torch.int64 else value
    junk = st.one_of(st.none(), st.integers(-2, 9), st.floats(), st.text(max_size=3))
    arguments = {
        "x": torch.full(shape, filled, dtype=dtype),
        "name": data.draw(st.one_of(st.sampled_from(NAMES), junk)),
        "severity": data.draw(st.one_of(st.sampled_from(SEVERITIES), junk)),
        "seed": data.draw(st.one_of(st.integers(0, 2**70), junk)),
        "first": data.draw(st.one_of(st.integers(0, 2**70), junk)),
    }
    refusal = ""
    try:
        out = corrupt(**arguments)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert re.match(r"(x|name|severity|seed|first): .*found", refusal)
    else:
        assert out.shape == arguments["x"].shape
        assert 0 <= out.min() <= out.max() <= 1
