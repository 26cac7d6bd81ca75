"""Runs: a run leaves a record that says all, and is neither repeated nor mixed up."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from partlib import checkpoints, data, environment, evaluation, models, runs, training, zoo
from partlib.recipes import Recipe, recipe
from partlib.runs import model_named, run, train_or_load

CPU = torch.device("cpu")
TINY = replace(recipe("scene-digits/small"), steps=1).with_config(
    epochs=2, batch_size=16, precision="fp32", seed=3
)
SIZES: dict[str, Any] = {"n_train": 40, "n_test": 20, "progress": False, "device": CPU}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "part"
    method = TINY.method("part", eps_low=6 / 255)
    record = run(
        TINY, method, folder=folder, command="python -m partlib x", attacks=["natural"], **SIZES
    )
    return folder, record


def test_a_run_leaves_weights_checkpoint_and_result(done: tuple[Path, dict[str, Any]]) -> None:
    folder, record = done
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "result.json",
        "weights.safetensors",
    ]
    assert json.loads((folder / "result.json").read_text()) == record


def test_the_record_says_how_to_make_the_run_again(done: tuple[Path, dict[str, Any]]) -> None:
    _, record = done
    assert record["command"] == "python -m partlib x"
    assert (record["data"], record["network"]) == ("scene-digits", "small")
    assert (record["n_train"], record["n_test"], record["seed"]) == (40, 20, 3)
    assert record["label"] == "part"
    assert record["method"]["method"] == "part"
    assert record["method"]["eps_low"] == 6 / 255
    assert record["config"] == TINY.config.record()
    assert record["config"]["epochs"] == 2
    assert set(record) >= {"commit", "versions", "device", "threads", "note", "max_batches"}
    assert 50 < record["peak_memory_mib"]["process"] < 100_000
    assert record["versions"]["torch"]
    assert record["precision"] == "fp32"
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert record["seconds"]["train"] == pytest.approx(
        sum(row["seconds"] for row in record["history"]), abs=0.06
    )
    assert record["seconds"]["this_process"] >= record["seconds"]["evaluate"] >= 0
    assert 0 < record["seconds"]["train_cpu"] <= 1 + 64 * record["seconds"]["this_process"]


def test_weights_and_metrics_are_those_of_the_record(done: tuple[Path, dict[str, Any]]) -> None:
    folder, record = done
    model = models.build("small", record["num_classes"])
    checkpoints.load_weights(model, folder / "weights.safetensors")
    assert checkpoints.weights_sha256(model) == record["weights_sha256"]
    test_set = data.load("scene-digits", "test", n=20)
    found = evaluation.evaluate(model, test_set, ["natural"])
    assert found == pytest.approx(record["metrics"], abs=1e-4)
    # Made by hand from the parts, the run ends in the same weights.
    again = models.build("small", 10, seed=3)
    train_set = data.load("scene-digits", "train", n=40)
    method = TINY.method("part", eps_low=6 / 255)
    training.fit(again, train_set, method, TINY.config, progress=False)
    assert checkpoints.weights_sha256(again) == record["weights_sha256"]


def test_a_run_that_was_cut_off_goes_on(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, record = done
    method = TINY.method("part", eps_low=6 / 255)
    save = checkpoints.save_state

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(TINY, method, folder=tmp_path, attacks=["natural"], **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    for name in ("weights.safetensors", "result.json"):
        (tmp_path / f".{name}.999999999.part").write_bytes(b"half")
    monkeypatch.setattr(checkpoints, "save_state", save)
    found = run(TINY, method, folder=tmp_path, attacks=["natural"], **SIZES)
    assert found["weights_sha256"] == record["weights_sha256"]
    assert len(found["history"]) == 2
    names = {"checkpoint.safetensors", "weights.safetensors", "result.json"}
    assert {path.name for path in tmp_path.iterdir()} == names, "nothing half-written is left"


def test_a_finished_run_keeps_by_what_it_was_trained(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = done
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    monkeypatch.setattr(environment, "commit", lambda: "later")
    monkeypatch.setattr(training, "uses_bf16", lambda *_: True)  # as of an older checkpoint
    method = TINY.method("part", eps_low=6 / 255)
    settings = SIZES | {"n_test": 10, "command": "y", "attacks": ["natural", "fgsm"]}
    found = run(TINY, method, folder=copy, **settings)
    assert found["precision"] == "fp32"
    for key in runs.TRAINED_BY:
        assert found.get(key) == record.get(key), key
    assert found["seconds"]["train_cpu"] == record["seconds"]["train_cpu"]
    assert found["seconds"]["this_process"] != record["seconds"]["this_process"]
    assert (found["n_test"], list(found["metrics"])) == (10, ["natural", "fgsm"])
    (by,) = found["evaluated"]
    assert (by["command"], by["commit"], by["measured"]) == ("y", "later", ["natural", "fgsm"])
    assert json.loads((copy / "result.json").read_text()) == found
    (copy / "result.json").write_text("{}")
    with pytest.raises(ValueError, match=r"^folder: .*result\.json is no record of a run"):
        run(TINY, method, folder=copy, **settings)
    (copy / "checkpoint.safetensors").unlink()
    (copy / "result.json").write_text(json.dumps(record))
    again = run(TINY, method, folder=copy, **settings)
    assert (again["command"], again["commit"]) == ("y", "later"), "it was trained again"
    assert "evaluated" not in again


def test_the_commit_is_that_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "commit", lambda: "before")

    def committed(*_: object) -> None:
        monkeypatch.setattr(environment, "commit", lambda: "since")

    method = TINY.method("natural")
    record = run(TINY, method, folder=tmp_path, attacks=["natural"], on_epoch=committed, **SIZES)
    assert record["commit"] == "before"
    assert {"scipy", "pillow"} <= record["versions"].keys()


def test_memory_is_that_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noted(module: Any, name: str) -> None:
        whole = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (order.append(name), whole(*a, **k))[1])

    noted(training, "fit")
    noted(runs, "peak_memory_mib")
    noted(evaluation, "evaluate")
    run(TINY, TINY.method("natural"), folder=tmp_path, attacks=["natural"], **SIZES)
    assert order == ["fit", "peak_memory_mib", "evaluate"]


def test_a_finished_run_is_a_model_by_its_folder(done: tuple[Path, dict[str, Any]]) -> None:
    model, record = model_named(str(done[0]))
    assert record == done[1]
    assert checkpoints.weights_sha256(model) == record["weights_sha256"]
    assert not model.training
    assert model_named("at")[1] == zoo.card("at")
    with pytest.raises(ValueError, match=r"model: at, .*, trades or the folder of a finished"):
        model_named(str(done[0].parent))


def test_a_trial_of_a_few_batches_does_not_become_the_run(tmp_path: Path) -> None:
    method = TINY.method("natural")
    trial = run(TINY, method, folder=tmp_path, attacks=["natural"], max_batches=1, **SIZES)
    assert trial["max_batches"] == 1
    with pytest.raises(ValueError, match="another run"):
        run(TINY, method, folder=tmp_path, attacks=["natural"], **SIZES)


def test_a_trial_measures_on_as_few_batches(tmp_path: Path) -> None:
    settings = {**SIZES, "n_test": None, "max_batches": 2, "attacks": ["natural"]}
    trial = run(TINY, TINY.method("natural"), folder=tmp_path, **settings)
    assert trial["n_test"] == 32
    settings["n_test"] = 40
    assert run(TINY, TINY.method("natural"), folder=tmp_path, **settings)["n_test"] == 40


def test_a_run_on_a_cut_set_says_so(svhn_root: Path, tmp_path: Path) -> None:
    chosen = recipe("svhn/small").with_config(epochs=1, batch_size=16)
    record = run(
        chosen,
        chosen.method("part"),
        folder=tmp_path,
        attacks=["natural"],
        root=svhn_root,
        verify=False,
        **SIZES,
    )
    assert record["note"] == data.load("svhn", "train", root=svhn_root, verify=False).note
    assert json.loads((tmp_path / "result.json").read_text()) == record


def test_a_run_on_larger_images(tiny_imagenet_root: Path, tmp_path: Path) -> None:
    chosen = recipe("tiny-imagenet/small").with_config(epochs=1, batch_size=16)
    record = run(
        chosen,
        chosen.method("part"),
        folder=tmp_path,
        attacks=["pgd2"],
        root=tiny_imagenet_root,
        verify=False,
        max_batches=1,
        **SIZES,
    )
    assert record["note"] in ("", f"Tiny-ImageNet, {record['num_classes']} classes")
    assert math.isfinite(record["history"][0]["loss"])


def test_a_label_and_the_default_attacks(tmp_path: Path) -> None:
    one = TINY.with_config(epochs=1)
    record = run(one, one.method("natural"), folder=str(tmp_path), label="NT", **SIZES)
    assert record["label"] == "NT"
    assert list(record["metrics"]) == ["natural", "pgd20"]
    assert all(0 <= value <= 100 for value in record["metrics"].values())
    assert record["metrics"]["pgd20"] <= record["metrics"]["natural"]


def test_the_best_epoch_is_chosen_on_images_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[data.ImageSet, data.ImageSet]] = []
    fit = training.fit

    def spy(model: Any, train_set: Any, *arguments: Any, **settings: Any) -> Any:
        seen.append((train_set, settings["val_set"]))
        return fit(model, train_set, *arguments, **settings)

    monkeypatch.setattr(training, "fit", spy)
    method = TINY.method("at")
    for seed in (3, 4):
        folder = tmp_path / str(seed)
        one = TINY.with_config(seed=seed)
        record = run(one, method, folder=folder, n_val=15, attacks=["natural"], **SIZES)
        assert record["n_val"] == 15
        assert record["best_epoch"] == training.best_epoch(record["history"])
        with pytest.raises(ValueError, match=r"folder: .* holds another run"):
            train_or_load(one, method, folder=folder)
    # Scene-digits has a split for it; of other sets a part of what is trained on is held out.
    load = data.load
    tones = replace(load("scene-digits", "train", n=40), name="cifar10")
    monkeypatch.setattr(data, "load", lambda _, split, **__: replace(tones, split=split))
    for seed in (3, 4):
        other = replace(TINY.with_config(seed=seed, epochs=1), data="cifar10")
        run(other, method, folder=tmp_path / f"c{seed}", n_val=15, attacks=["natural"], **SIZES)
    assert [(len(a), len(b), b.split) for a, b in seen] == [(40, 15, "val")] * 2 + [
        (25, 15, "train")
    ] * 2
    assert torch.equal(seen[0][1].pixels, load("scene-digits", "val", n=15).pixels)
    whole = {image.numpy().tobytes() for image in tones.pixels}
    apart = [{image.numpy().tobytes() for image in part.pixels} for part in seen[2]]
    assert apart[0] | apart[1] == whole
    assert not apart[0] & apart[1]
    assert torch.equal(seen[2][1].pixels, seen[3][1].pixels), "the same for every seed"


@pytest.fixture
def _small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, split, **_: load(name, split, n=20))
    monkeypatch.setattr(runs, "best_device", lambda: CPU)


@pytest.mark.usefixtures("_small_sets")
def test_train_or_load_trains_once_and_refuses_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = TINY.with_config(epochs=1)
    first = train_or_load(chosen, chosen.method("natural"), folder=tmp_path)
    assert not first.training
    expected = checkpoints.weights_sha256(first)
    assert json.loads((tmp_path / "result.json").read_text())["weights_sha256"] == expected

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a finished run was trained again")

    monkeypatch.setattr(training, "fit", refuse)
    state = torch.get_rng_state()
    again = train_or_load(chosen, chosen.method("natural"), folder=str(tmp_path))
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers go on as before"
    assert checkpoints.weights_sha256(again) == expected
    assert not again.training
    others: list[tuple[Recipe, str]] = [
        (chosen.with_config(seed=9), "natural"),
        (chosen, "at"),
        (replace(chosen, data="cifar10"), "natural"),
        (replace(chosen, network="resnet18"), "natural"),
    ]
    for other, method in others:
        with pytest.raises(ValueError, match=r"folder: .* holds another run, 'natural'"):
            train_or_load(other, other.method(method), folder=tmp_path)
    checkpoints.save_weights(models.build("small", 10, seed=9), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"folder: the weights in .* are not those of its result"):
        train_or_load(chosen, chosen.method("natural"), folder=tmp_path)


def test_real_cifar10_trains_and_writes_a_result(cifar10_root: Path, tmp_path: Path) -> None:
    chosen = recipe("cifar10/small").with_config(epochs=1, batch_size=32)
    for name in ("at", "part"):
        record = run(
            chosen,
            chosen.method(name),
            folder=tmp_path / name,
            attacks=["natural", "pgd2"],
            max_batches=2,
            root=cifar10_root,
            **SIZES,
        )
        assert (record["data"], record["n_train"], record["n_test"]) == ("cifar10", 40, 20)
        assert math.isfinite(record["history"][0]["loss"])
        assert json.loads((tmp_path / name / "result.json").read_text()) == record
