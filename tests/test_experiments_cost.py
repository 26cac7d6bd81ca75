"""What training takes: operations, rates, hours."""

from dataclasses import replace

import pytest

from experiments import cost, speed, svhn_resnet18
from partlib import methods
from partlib.recipes import recipe


def test_operations_are_those_of_the_literature() -> None:
    """ResNet-18 at 32 x 32: 0.56 G multiplications forward, 23 passes for PGD-10 training."""
    at = speed.flops_per_image("resnet18", methods.at())
    assert at == pytest.approx(23 * 2 * 0.5556e9, rel=0.01)
    part = speed.flops_per_image("resnet18", methods.part(methods.at()))
    assert part / at == pytest.approx(24 / 23, rel=1e-3)
    assert speed.flops_per_image("resnet18", methods.trades()) / at == pytest.approx(
        27 / 23, rel=1e-3
    )
    assert speed.flops_per_image("resnet18", methods.natural()) / at == pytest.approx(
        3 / 23, rel=1e-3
    )


def test_operations_grow_with_the_image() -> None:
    at, larger = (speed.flops_per_image("small", methods.at(), side=n) for n in (32, 64))
    assert larger / at == pytest.approx(4, rel=1e-3)


@pytest.mark.slow
def test_hours_follow_from_the_rate_and_the_operations() -> None:
    found = cost.hours(svhn_resnet18.grid, svhn_resnet18.GROUPS[-1], 1000.0)
    assert found["at"] == pytest.approx(73_257 * 20 / 1000 / 3600)
    assert found["part"] / found["at"] == pytest.approx(24 / 23, rel=1e-3)
    assert list(found) == list(svhn_resnet18.GROUPS[-1])


def test_a_rate_is_measured() -> None:
    small = replace(svhn_resnet18.grid, recipe=recipe("svhn/small"))
    assert 0 < cost.images_per_second(small, batch_size=2, batches=1, rounds=1) < 1e6
