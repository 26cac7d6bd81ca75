"""Training: exact to repeat and to resume, also when it is killed."""

import functools
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import AT, CASES, QUICK, Killed, images, killed_after, net, part, trained

from partlib import checkpoints, losses, methods
from partlib.methods import Method
from partlib.models import Classifier
from partlib.training import TrainConfig, fit, loop

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("case", CASES)
def test_a_run_repeats_and_a_resumed_one_ends_in_the_same_bits(case: str, tmp_path: Path) -> None:
    method, config = CASES[case]
    whole = trained(method, config)
    torch.rand(7)  # the global random state plays no part
    assert trained(method, config) == whole
    for epoch in (1, 3):
        path = tmp_path / f"{epoch}.safetensors"
        with pytest.raises(Killed):
            trained(method, config, checkpoint=path, on_epoch=killed_after(epoch))
        # The network that goes on was drawn anew: all that counts is in the file.
        assert trained(method, config, checkpoint=path, seed=99) == whole


def test_what_should_change_a_run_changes_it() -> None:
    other = {
        "seed": trained(config=replace(QUICK, seed=1)),
        "pad": trained(config=replace(QUICK, pad=0)),
        "flip": trained(config=replace(QUICK, flip=True)),
        "clip": trained(config=replace(QUICK, clip=1e-3)),
        "decay": trained(config=replace(QUICK, weight_decay=0.5)),
        "bf16": trained(config=replace(QUICK, precision="bf16")),
        "batches": trained(max_batches=2),
        "first weights": trained(seed=1),
        "natural": trained(methods.natural()),
        "part": trained(part()),
        "snapshot": trained(part(refresh=2)),
        "none": trained(),
    }
    assert len(set(other.values())) == len(other)


def test_the_history_of_a_resumed_run_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(Killed):
        trained(checkpoint=path, on_epoch=killed_after(2))
    called: list[float] = []
    history = fit(
        net(),
        images(),
        AT,
        QUICK,
        checkpoint=path,
        progress=False,
        on_epoch=lambda model, row: called.append(row["epoch"]),
    )
    plain = fit(net(), images(), AT, QUICK, progress=False)
    assert called == [3, 4]
    assert [{**row, "seconds": 0} for row in history] == [{**row, "seconds": 0} for row in plain]
    assert fit(net(), images(), AT, QUICK, checkpoint=str(path), progress=False) == history


CHILD = """
import functools, os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
sys.path[:0] = [{tests!r}, {root!r}]
torch.set_num_threads({threads})
import trained as t

seen = 0
@functools.wraps(t.AT.outer)
def outer(*arguments):
    global seen
    seen += 1
    if seen == 11:  # in the middle of the third epoch of four batches
        os.kill(os.getpid(), signal.SIGKILL)
    return t.AT.outer(*arguments)

t.trained(replace(t.AT, outer=outer), checkpoint=Path({path!r}))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_run_that_is_really_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    code = CHILD.format(
        tests=str(ROOT / "tests"),
        root=str(ROOT),
        threads=torch.get_num_threads(),
        path=str(path),
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(checkpoints.read_meta(path)["history"]) == 2
    assert trained(checkpoint=path, seed=99) == trained()


def test_a_run_does_not_go_on_in_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What "auto" means may change with the machine."""
    path, config = tmp_path / "c", replace(QUICK, precision="auto")
    monkeypatch.setattr(loop, "uses_bf16", lambda *_: True)
    with pytest.raises(Killed):
        trained(config=config, checkpoint=path, on_epoch=killed_after(1))
    monkeypatch.setattr(loop, "uses_bf16", lambda *_: False)
    with pytest.raises(ValueError, match="another run: precision is 'bf16' there and 'fp32' here"):
        trained(config=config, checkpoint=path)


@pytest.mark.parametrize(
    ("method", "config", "settings"),
    [
        (AT, replace(QUICK, seed=1), {}),
        (AT, replace(QUICK, epochs=5), {}),
        (methods.at(steps=2, step_size=8 / 255), QUICK, {}),
        (part(), QUICK, {}),
        (AT, QUICK, {"max_batches": 2}),
        (AT, QUICK, {"val_set": images(9)}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    method: Method, config: TrainConfig, settings: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "c"
    trained(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint: .*c is of another run"):
        trained(method, config, checkpoint=path, **settings)
    with pytest.raises(ValueError, match="another run"):
        fit(net(), images(20), AT, QUICK, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="another run"):
        fit(net(), replace(images(), name="other"), AT, QUICK, checkpoint=path, progress=False)
    assert path.read_bytes() == before


def mine(outer: Any = losses.adversarial, **settings: Any) -> Method:
    """A method that says of itself nothing but its name."""
    return Method(name="mine", outer=outer, eps=0.1, steps=1, step_size=0.1, **settings)


def weighed(*arguments: Any, weight: float) -> tuple[Tensor, Tensor]:
    loss, logits = losses.natural(*arguments)
    return weight * loss, logits


@pytest.mark.parametrize(
    ("method", "other", "what"),
    [
        (AT, replace(AT, eps=16 / 255), "method.eps"),
        (AT, replace(AT, steps=2), "method.steps"),
        (mine(), mine(start="normal"), "method.start"),
        (mine(start=torch.zeros(3, 12, 12)), mine(start=torch.ones(3, 12, 12)), "method.start"),
        (mine(), mine(losses.natural), "method.outer"),
        (mine(losses.trades(1)), mine(losses.trades(6)), "method.outer"),
        (mine(), mine(inner="margin"), "method.inner"),
        (part(), replace(part(), update="clamp"), "method.update"),
        (
            mine(functools.partial(weighed, weight=1.0)),
            mine(functools.partial(weighed, weight=2.0)),
            "method.outer",
        ),
    ],
)
def test_a_method_that_was_changed_makes_another_run(
    method: Method, other: Method, what: str, tmp_path: Path
) -> None:
    path, config = tmp_path / "c", replace(QUICK, epochs=1)
    whole = trained(method, config, checkpoint=path, max_batches=1)
    assert trained(method, config, checkpoint=path, max_batches=1) == whole
    with pytest.raises(ValueError, match=rf"c is of another run: {what} is .* there and .* here$"):
        trained(other, config, checkpoint=path, max_batches=1)


def test_settings_are_compared_as_json_gives_them_back(tmp_path: Path) -> None:
    path, config = tmp_path / "c", replace(QUICK, epochs=1)
    method = mine(settings={"mine": (1, 2), "steps": {3: "many"}})
    whole = trained(method, config, checkpoint=path)
    assert trained(method, config, checkpoint=path, seed=99) == whole


def test_settings_that_json_cannot_hold_are_refused_before_training(tmp_path: Path) -> None:
    model, method = net(), mine(settings={"mine": {1, 2}})
    before = checkpoints.weights_sha256(model)
    with pytest.raises(ValueError, match=r"^method.settings: what JSON can .* {'mine': {1, 2}}$"):
        fit(model, images(), method, QUICK, checkpoint=tmp_path / "c", progress=False)
    assert checkpoints.weights_sha256(model) == before


def test_other_images_and_labels_make_another_run(tmp_path: Path) -> None:
    path, config, s = tmp_path / "c", replace(QUICK, epochs=1), images()
    masks = torch.zeros(50, 12, 12, dtype=torch.uint8)
    val_set = images(9)
    fit(net(), s, AT, config, val_set=val_set, checkpoint=path, progress=False)
    others = [
        (replace(s, pixels=s.pixels.flip(3)), val_set, "train_set"),
        (replace(s, labels=1 - s.labels), val_set, "train_set"),
        (replace(s, object_pixels=masks), val_set, "train_set"),
        (s, replace(val_set, pixels=val_set.pixels.flip(3)), "val_set"),
    ]
    for train_set, chosen_on, what in others:
        model = net()
        before = checkpoints.weights_sha256(model)
        with pytest.raises(ValueError, match=rf"another run: {what} is '.*' there and '.*' here$"):
            fit(model, train_set, AT, config, val_set=chosen_on, checkpoint=path, progress=False)
        assert checkpoints.weights_sha256(model) == before


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "c", net()
    optimizer = torch.optim.AdamW(model.parameters())
    old = {"run": {"data": "tones train", "n": 50}, "history": []}
    checkpoints.save_state(path, {"model": model}, optimizer, old)
    with pytest.raises(ValueError, match=r"^checkpoint: .*c does not say which images"):
        trained(checkpoint=path)


def test_what_is_no_checkpoint_is_said_and_kept(tmp_path: Path) -> None:
    weights, cut, text = (tmp_path / name for name in ("weights", "cut", "text"))
    checkpoints.save_weights(net(), weights)
    cut.write_bytes(weights.read_bytes()[:-9])
    text.write_text("not weights")
    for path, message in (
        (weights, "checkpoint: a checkpoint is needed, .*weights holds tensors alone"),
        (cut, "checkpoint: a whole safetensors file is needed, .*cut is none"),
        (text, "checkpoint: a whole safetensors file is needed, .*text is none"),
    ):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"^{message}"):
            trained(checkpoint=path)
        assert path.read_bytes() == before


def forgetful() -> Classifier:
    """A network that draws from the global random state."""
    model = net()
    model.features.append(nn.Dropout(0.5))
    return model


def test_dropout_follows_from_the_seed_and_the_epoch(tmp_path: Path) -> None:
    def run(config: TrainConfig = QUICK, **settings: Any) -> str:
        model = forgetful()
        fit(model, images(), AT, config, progress=False, **settings)
        return checkpoints.weights_sha256(model)

    state = torch.get_rng_state()
    whole = run()
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers go on as before"
    torch.rand(7)
    assert run() == whole
    with pytest.raises(Killed):
        run(checkpoint=tmp_path / "c", on_epoch=killed_after(2))
    assert run(checkpoint=tmp_path / "c") == whole
    masks: list[bytes] = []
    model = forgetful()
    model.features[-1].register_forward_hook(
        lambda layer, _, out: masks.append((out == 0).numpy().tobytes()) if layer.training else None
    )
    fit(model, images(), methods.natural(), replace(QUICK, lr=1e-9), progress=False)
    assert len(set(masks)) == len(masks) == 16, "each batch is dropped from anew"
