"""Doctor: says what is there, and its minutes are steps times seconds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from partlib import doctor, training
from partlib.recipes import Recipe, recipe
from partlib.scale import SCALES

CPU = torch.device("cpu")
ABOUT = {"device": "a device", "threads": 1, "versions": {}}


def test_report_without_a_probe_says_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTLIB_DATA", str(tmp_path))
    monkeypatch.setattr(doctor, "minutes", lambda *_: pytest.fail("probed"))
    found = doctor.report(probe=False)
    assert set(found) == {
        "system",
        "device",
        "threads",
        "precision",
        "versions",
        "data_root",
        "data",
        "minutes_to_train_at",
    }
    assert found["threads"] == torch.get_num_threads()
    assert found["precision"] in ("bf16", "fp32")
    assert found["versions"]["torch"]
    assert found["data_root"] == str(tmp_path)
    assert found["data"]["cifar10"].startswith("not at")
    assert found["minutes_to_train_at"] == {"cpu": None, "gpu": None, "paper": None}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_report_with_a_probe_gives_minutes_for_each_scale_that_fits(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []

    def minutes(chosen: Recipe, device: torch.device) -> float:
        asked.append(chosen)
        return 1.23

    monkeypatch.setattr(doctor, "minutes", minutes)
    monkeypatch.setattr(doctor.runs, "best_device", lambda: torch.device(device))
    monkeypatch.setattr(doctor.environment, "describe", lambda _: ABOUT)
    fit = list(SCALES) if device == "cuda" else ["cpu"]
    assert list(doctor.fitting(torch.device(device))) == fit
    found = {name: 1.2 if name in fit else None for name in SCALES}
    assert doctor.report()["minutes_to_train_at"] == found
    assert asked == [SCALES[name].recipe for name in fit]


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [
        ("scene-digits/small", 10_000, 32),
        ("cifar10/small", 50_000, 32),
        ("svhn/small", 73_257, 32),
        ("tiny-imagenet/small", 100_000, 64),
    ],
)
def test_minutes_are_steps_times_the_median_step(
    name: str, size: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = [60.0, 0.2, 9.0, 0.3]  # the first is warming up, one was disturbed

    def fit(model: object, images: Any, method: Any, config: Any, **_: object) -> Any:
        assert len(images) == config.batch_size == 100, "one step"
        assert images.images.shape == (100, 3, side, side)
        assert (config.epochs, config.ramp, method.name) == (len(took), 0, "at")
        return [{"seconds": seconds} for seconds in took]

    monkeypatch.setattr(training, "fit", fit)
    chosen = recipe(name).with_config(batch_size=100, epochs=7)
    assert doctor.minutes(chosen, CPU) == pytest.approx(7 * size / 100 * 0.3 / 60)


@pytest.mark.parametrize("name", ["scene-digits/small", "tiny-imagenet/small"])
def test_minutes_of_a_real_probe_are_positive(name: str) -> None:
    chosen = replace(recipe(name), steps=1).with_config(batch_size=8)
    assert 0 < doctor.minutes(chosen, CPU) < 60_000
