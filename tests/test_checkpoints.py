"""Checkpoints: whole or not at all, exact, and never run as code."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from partlib import checkpoints, models
from partlib.models import Classifier

GONE = 999_999_999  # no process has so large a number


def net(seed: int = 0) -> Classifier:
    model = models.build("small", 10, seed=seed)
    with torch.no_grad():  # statistics that are not the ones that all networks start with
        model.train()(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))
    return model.eval()


def equal(a: Classifier, b: Classifier) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[k], other[k]) for k in mine)


def test_weights_come_back_bit_by_bit(tmp_path: Path) -> None:
    model = net().to(memory_format=torch.channels_last)
    path = tmp_path / "new" / "folder" / "w.safetensors"
    checkpoints.save_weights(model, path)
    other = net(1)
    assert not equal(model, other)
    checkpoints.load_weights(other, path)
    assert equal(model, other)
    assert checkpoints.weights_sha256(model) == checkpoints.weights_sha256(other)
    assert load_file(path).keys() == model.state_dict().keys()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    checkpoints.save_weights(net(), tmp_path / "w")
    other = models.build("small", 7, seed=1)
    before = checkpoints.weights_sha256(other)
    with pytest.raises(ValueError, match=r"^path: .*w .*: head.* is \(10,\) there and \(7,\) here"):
        checkpoints.load_weights(other, tmp_path / "w")
    assert checkpoints.weights_sha256(other) == before, "nothing was read"


def test_a_crash_before_the_replacement_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    checkpoints.write_json(path, {"old": 1})
    before = path.read_bytes()
    seen: list[bytes] = []

    def crash(source: Path, target: Path) -> None:
        assert Path(source).parent == tmp_path, "another file system could not replace at once"
        seen.append(Path(source).read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write_json(path, {"new": 2})
    assert json.loads(seen[0]) == {"new": 2}, "all of the new file is there before it is named"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "not a part of the new one is left"
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_weights(net(), tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    path = tmp_path / "run" / "c.safetensors"
    checkpoints.sweep(path)  # there is no such folder yet
    checkpoints.write_json(path, {})
    names = (".other.1.part", "c.safetensors.1.part", f".c.safetensors.old.{GONE}.part")
    others = [path.with_name(name) for name in names]
    left = path.with_name(f".c.safetensors.{GONE}.part")
    for file in (left, *others):
        file.write_bytes(b"half")
    checkpoints.sweep(path)
    assert sorted(path.parent.iterdir()) == sorted([path, *others])


def test_what_a_living_process_is_writing_is_left(tmp_path: Path) -> None:
    part = tmp_path / f".c.safetensors.{os.getpid()}.part"
    part.write_bytes(b"half")
    checkpoints.sweep(tmp_path / "c.safetensors")
    assert part.exists()


def test_json_comes_back_and_has_a_key_a_line(tmp_path: Path) -> None:
    value = {"a": 0.1 + 0.2, "b": [1, None, "é"], "c": {"d": True}}
    checkpoints.write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert len(text.splitlines()) == 11


def test_sha256_changes_with_any_bit_of_any_tensor() -> None:
    model = net()
    digests = {checkpoints.weights_sha256(model)}
    tensors = model.state_dict()
    for tensor in tensors.values():
        raw = tensor.view(torch.uint8) if tensor.dim() else tensor.view(1).view(torch.uint8)
        for bit in (1, 128):
            raw.view(-1)[-1] ^= bit
            digests.add(checkpoints.weights_sha256(model))
            raw.view(-1)[-1] ^= bit
    assert len(digests) == 1 + 2 * len(tensors)
    assert checkpoints.weights_sha256(model) in digests
    assert checkpoints.weights_sha256(net()) == checkpoints.weights_sha256(model)


def test_sha256_knows_names_shapes_and_types() -> None:
    def digest(name: str, value: torch.Tensor) -> str:
        module = torch.nn.Module()
        module.register_buffer(name, value)
        return checkpoints.weights_sha256(module)

    zeros = [digest("a", torch.zeros(4)), digest("b", torch.zeros(4))]
    zeros += [digest("a", torch.zeros(2, 2)), digest("a", torch.zeros(4, dtype=torch.int32))]
    assert len(set(zeros)) == 4
    assert checkpoints.tensors_sha256({"a": torch.zeros(4)}) == zeros[0]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "gone off"
    (tmp_path / "pickled").write_bytes(pickle.dumps(Bomb(bomb)))
    torch.save(Bomb(bomb), tmp_path / "saved")
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for name in ("pickled", "saved"):
        with pytest.raises(Exception, match=r"(?i)header"):
            checkpoints.load_weights(model, tmp_path / name)
        with pytest.raises(Exception, match=r"(?i)header"):
            checkpoints.load_state(tmp_path / name, {"model": model}, optimizer)
    assert not bomb.exists()

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("pickle was used")

    for module, name in ((pickle, "load"), (pickle, "loads"), (torch, "load"), (torch, "save")):
        monkeypatch.setattr(module, name, refuse)
    checkpoints.save_weights(model, tmp_path / "w")
    checkpoints.load_weights(model, tmp_path / "w")
    checkpoints.save_state(tmp_path / "s", {"model": model}, optimizer, {})
    checkpoints.load_state(tmp_path / "s", {"model": model}, optimizer)


def test_a_state_of_other_networks_is_refused_and_nothing_is_read(tmp_path: Path) -> None:
    model, other = net(), models.build("resnet18", 10, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoints.save_state(tmp_path / "s", {"model": model}, optimizer, {})
    before = checkpoints.weights_sha256(other)
    wide = net().double()
    for parts in ({"model": other}, {"model": net(), "guide": other}, {"model": wide}):
        with pytest.raises(ValueError, match=r"path: .*s holds other networks than model"):
            checkpoints.load_state(tmp_path / "s", parts, optimizer)
    assert checkpoints.weights_sha256(other) == before


def test_a_file_that_is_cut_off_or_no_checkpoint_is_named(tmp_path: Path) -> None:
    model, path, cut = net(), tmp_path / "w", tmp_path / "cut"
    checkpoints.save_weights(model, path)
    cut.write_bytes(path.read_bytes()[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for read in (
        lambda: checkpoints.load_weights(model, cut),
        lambda: checkpoints.load_state(cut, {"model": model}, optimizer),
        lambda: checkpoints.read_meta(cut),
    ):
        with pytest.raises(ValueError, match=r"^path: a whole safetensors file is needed, .*cut"):
            read()
    with pytest.raises(ValueError, match=r"^here: a checkpoint is needed, .*w holds tensors"):
        checkpoints.read_meta(path, name="here")
    with pytest.raises(FileNotFoundError):
        checkpoints.read_meta(tmp_path / "none")


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_state_comes_back_and_the_next_step_is_the_same(kind: str, tmp_path: Path) -> None:
    def optimizer_of(model: Classifier) -> torch.optim.Optimizer:
        if kind == "adamw":
            return torch.optim.AdamW(model.parameters(), fused=True)
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)

    def step(model: Classifier, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(5))
        model(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()
        optimizer.step()

    model, guide = net().to(memory_format=torch.channels_last), net(3)
    optimizer = optimizer_of(model)
    step(model, optimizer)
    meta = {"history": [{"loss": 0.1 + 0.2}]}
    path = tmp_path / "state"
    checkpoints.save_state(path, {"model": model, "guide": guide}, optimizer, meta)
    assert checkpoints.read_meta(path) == meta

    other, other_guide = net(8).to(memory_format=torch.channels_last), net(9)
    other_optimizer = optimizer_of(other)
    parts = {"model": other, "guide": other_guide}
    assert checkpoints.load_state(path, parts, other_optimizer) == meta
    assert equal(model, other)
    assert equal(guide, other_guide)
    step(model, optimizer)
    step(other, other_optimizer)
    assert equal(model, other)
