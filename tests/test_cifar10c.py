"""The released arrays of CIFAR-10-C, here small ones."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partlib.corruptions import SEVERITIES, load_cifar10c, released


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with arrays of 4 images a severity; the value says image and severity."""
    monkeypatch.setattr(released, "IMAGES", 4)
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] + np.zeros((20, 32, 32, 3))
    images[..., 1] += 100
    images[..., 2] = np.arange(32)[:, None]
    np.save(folder / "fog.npy", images.astype(np.uint8))
    np.save(folder / "labels.npy", np.tile(np.array([3, 8, 8, 0]), 5).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_its_rows(release: Path, severity: int) -> None:
    s = load_cifar10c(release, "fog", severity)
    assert (s.name, s.split, len(s)) == (f"cifar10-c/fog/{severity}", "test", 4)
    assert s.pixels.shape == (4, 3, 32, 32)
    assert s.pixels.dtype == torch.uint8
    rows = list(range(4 * (severity - 1), 4 * severity))
    assert s.pixels[:, 0, 5, 9].tolist() == rows
    assert s.pixels[:, 1, 0, 31].tolist() == [100 + row for row in rows]
    assert s.pixels[0, 2, :, 7].tolist() == list(range(32)), "rows stay rows"
    assert s.labels.tolist() == [3, 8, 8, 0]
    assert s.labels.dtype == torch.int64
    assert s.class_names[3] == "cat"
    s.pixels.zero_()  # a copy: the file stays as it is
    assert load_cifar10c(release, "fog", severity).pixels.any()


def test_labels_may_be_of_any_whole_type(release: Path) -> None:
    np.save(release / "CIFAR-10-C" / "labels.npy", np.arange(20) % 4)
    assert load_cifar10c(str(release), "fog", 2).labels.tolist() == [0, 1, 2, 3]


def test_the_release_is_found_by_its_variable(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTLIB_DATA", str(release))
    assert len(load_cifar10c(None, "fog", 1)) == 4


def test_a_missing_release_says_what_to_do(tmp_path: Path, release: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*snow\.npy.*CIFAR-10-C\.tar of Zenodo"):
        load_cifar10c(release, "snow", 1)
    (release / "CIFAR-10-C" / "labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels\.npy"):
        load_cifar10c(release, "fog", 1)


@pytest.mark.parametrize(
    ("file", "array", "found"),
    [
        ("fog", np.zeros((10, 32, 32, 3), np.uint8), "uint8 (10, 32, 32, 3)"),
        ("fog", np.zeros((20, 3, 32, 32), np.uint8), "uint8 (20, 3, 32, 32)"),
        ("fog", np.zeros((20, 32, 32, 3), np.float32), "float32"),
        ("labels", np.zeros(19, np.uint8), "uint8 (19,)"),
        ("labels", np.zeros(20), "float64"),
        ("labels", np.full(20, 10), "10 to 10"),
        ("labels", np.full(20, -1), "-1 to -1"),
        ("fog", np.array([{}]), "no readable array"),  # never unpickled
    ],
)
def test_a_wrong_array_is_refused(release: Path, file: str, array: Any, found: str) -> None:
    np.save(release / "CIFAR-10-C" / f"{file}.npy", array)
    with pytest.raises(ValueError, match=rf"^root: .*needed, found {re.escape(found)}.*{file}"):
        load_cifar10c(release, "fog", 1)


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_cut_file_is_refused(release: Path, kept: int) -> None:
    path = release / "CIFAR-10-C" / "fog.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"^root: .*no readable array in .*fog"):
        load_cifar10c(release, "fog", 1)


def test_an_archive_is_refused(release: Path) -> None:
    path = release / "CIFAR-10-C" / "fog.npy"
    with path.open("wb") as file:
        np.savez(file, fog=np.zeros(3))
    with pytest.raises(ValueError, match=r"^root: .*found NpzFile"):
        load_cifar10c(release, "fog", 1)


def test_no_such_corruption_or_severity_is_named(release: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: .*found 'rain'"):
        load_cifar10c(release, "rain", 1)
    with pytest.raises(ValueError, match=r"^severity: .*found 6"):
        load_cifar10c(release, "fog", 6)
