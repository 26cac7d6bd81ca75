"""Float32 is float32 where anything is measured: no TF32, no autocast; and all as it was after."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from partlib import attacks, data, diagnose, evaluation, methods, training
from partlib.preserve import (
    full_precision,
    no_tf32,
    repeatable,
)

CUDNN, CUBLAS = torch.backends.cudnn, torch.backends.cuda.matmul
SWITCHES = (CUDNN.conv, CUDNN.rnn, CUBLAS)


def precisions() -> list[str]:
    return [switch.fp32_precision for switch in SWITCHES]


@pytest.fixture
def _tf32(request: pytest.FixtureRequest) -> Iterator[None]:
    """TF32 as some caller has set it, by torch's older or its newer switches."""
    found, older = precisions(), (CUDNN.allow_tf32, CUBLAS.allow_tf32)
    if request.param == "older":
        CUDNN.allow_tf32 = CUBLAS.allow_tf32 = True
    elif request.param == "newer":
        for switch in SWITCHES:
            switch.fp32_precision = "tf32"
    yield
    CUDNN.allow_tf32, CUBLAS.allow_tf32 = older
    for switch, precision in zip(SWITCHES, found, strict=True):
        switch.fp32_precision = precision


@pytest.mark.usefixtures("_tf32")
@pytest.mark.parametrize("_tf32", ["as found", "older", "newer"], indirect=True)
def test_tf32_is_off_inside_and_as_it_was_after() -> None:
    before = precisions()
    assert "tf32" in before, "cuDNN's is on unless somebody switched it off"
    with contextlib.suppress(InterruptedError), no_tf32():
        assert precisions() == ["ieee"] * 3
        with no_tf32():
            pass
        assert precisions() == ["ieee"] * 3
        raise InterruptedError
    assert precisions() == before


@pytest.mark.parametrize("older", [True, False])
def test_the_older_switches_can_be_read_inside_and_after(older: bool) -> None:
    found = CUDNN.allow_tf32
    try:
        CUDNN.allow_tf32 = older
        with no_tf32():
            assert (CUDNN.allow_tf32, CUBLAS.allow_tf32) == (False, False)
        assert CUDNN.allow_tf32 == older
    finally:
        CUDNN.allow_tf32 = found


def test_in_full_precision_there_is_no_autocast() -> None:
    a = torch.rand(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16), full_precision(a.device):
        assert (a @ a).dtype == torch.float32
        assert precisions() == ["ieee"] * 3


def test_cudnn_repeats_inside_and_is_as_it_was_after() -> None:
    found = (CUDNN.deterministic, CUDNN.benchmark)
    try:
        CUDNN.deterministic, CUDNN.benchmark = False, True
        with contextlib.suppress(InterruptedError), repeatable():
            assert (CUDNN.deterministic, CUDNN.benchmark) == (True, False)
            raise InterruptedError
        assert (CUDNN.deterministic, CUDNN.benchmark) == (False, True)
    finally:
        CUDNN.deterministic, CUDNN.benchmark = found


class Spy(nn.Module):
    """A network that says with which switches it is called, and its gradient taken."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 32 * 32, 10)
        self.seen: set[tuple[str, ...]] = set()
        self.head.register_full_backward_pre_hook(lambda *_: self.note())
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(0))

    def note(self) -> None:
        self.seen.add((*precisions(), str(CUDNN.deterministic)))

    def forward(self, x: Tensor) -> Tensor:
        self.note()
        logits: Tensor = self.head(x.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("use", "deterministic"),
    [
        (lambda net, some: evaluation.predict(net, some.images), False),
        (lambda net, some: evaluation.evaluate(net, some, ["pgd2", "mma"]), False),
        (lambda net, some: training.watch.validate(net, some, 8 / 255), False),
        (lambda net, some: diagnose.diagnose(net, some.images, some.labels, steps=4), False),
        (lambda net, some: attacks.autoattack(net, some.images, some.labels, 0.0), False),
        (
            lambda net, some: training.fit(
                net, some, methods.at(steps=1),
                training.TrainConfig(epochs=1, batch_size=10, precision="fp32"), progress=False,
            ),
            True,
        ),
    ],
    ids=["predict", "evaluate", "validate", "diagnose", "autoattack", "fit"],
)  # fmt: skip
def test_what_is_measured_or_trained_in_float32_is(
    use: Callable[[nn.Module, data.ImageSet], object], deterministic: bool
) -> None:
    before, net = precisions(), Spy()
    use(net, data.load("scene-digits", "test", n=20))
    assert net.seen == {("ieee", "ieee", "ieee", str(deterministic))}
    assert precisions() == before
    assert not CUDNN.deterministic
