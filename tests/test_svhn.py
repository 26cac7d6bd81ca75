"""SVHN: read as it is stored, verified or named as a cut, and never half."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision.datasets import SVHN

from partlib import data
from partlib.data import files


def mat(path: Path, n: int = 7, *, seed: int = 0) -> np.ndarray:
    """A file in SVHN's own layout; returns its images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
    labels = (np.arange(n) % 10 + 1)[:, None].astype(np.uint8)
    savemat(path, {"X": images, "y": labels}, do_compression=True)
    return images


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr(files, "download_url", refuse)


@pytest.mark.parametrize("where", ["svhn", "."])
def test_images_and_labels_are_those_of_the_file(where: str, tmp_path: Path) -> None:
    images = mat(tmp_path / where / "train_32x32.mat", 12)
    found = data.load("svhn", "train", root=tmp_path, verify=False)
    assert (found.pixels.shape, found.pixels.dtype) == ((12, 3, 32, 32), torch.uint8)
    for i in range(12):
        assert (found.pixels[i].numpy() == images[:, :, :, i].transpose(2, 0, 1)).all()
    assert found.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2], "the digit 0 is a 10"
    assert found.labels.dtype == torch.int64
    assert found.class_names == tuple("0123456789")
    assert found.note == "SVHN, 12 images, not verified"
    assert len(data.load("svhn", "train", n=5, root=tmp_path, verify=False)) == 5


def test_the_published_file_is_known_by_its_md5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "svhn" / "test_32x32.mat"
    mat(path)
    with pytest.raises(
        FileNotFoundError, match=r"damaged or cut: .*test_32x32.mat has not the md5"
    ):
        data.load("svhn", "test", root=tmp_path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    url, name, _ = SVHN.split_list["test"]
    monkeypatch.setitem(SVHN.split_list, "test", [url, name, md5])
    for verify in (True, False):
        found = data.load("svhn", "test", root=tmp_path, verify=verify)
        assert (len(found), found.note) == (7, "")
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FileNotFoundError, match="damaged or cut"):
        data.load("svhn", "test", root=tmp_path)


def test_a_cut_is_read_only_without_verifying_and_named(tmp_path: Path) -> None:
    mat(tmp_path / "svhn" / "train_first9.mat", 9)
    test_images = mat(tmp_path / "svhn" / "train_next4.mat", 4, seed=1)
    with pytest.raises(FileNotFoundError, match=r"missing: .*train_first9.mat.*no network.*md5"):
        data.load("svhn", "train", root=tmp_path)
    train = data.load("svhn", "train", root=tmp_path, verify=False)
    test = data.load("svhn", "test", root=tmp_path, verify=False)
    assert (len(train), len(test)) == (9, 4)
    assert train.note == test.note == "SVHN, first 13 images"
    assert (test.pixels[3].numpy() == test_images[:, :, :, 3].transpose(2, 0, 1)).all()
    with pytest.raises(FileNotFoundError, match=r"looked for extra_32x32\.mat in"):
        data.load("svhn", "extra", root=tmp_path, verify=False)
    mat(tmp_path / "svhn" / "train_first5.mat", 5)
    with pytest.raises(FileNotFoundError, match=r"one train_first\*.mat is needed, found train_fi"):
        data.load("svhn", "train", root=tmp_path, verify=False)


def test_a_missing_set_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    wanted = (
        rf"SVHN is missing.*train_32x32.mat.* in {tmp_path / 'svhn'}.*Put train_32x32.mat \(md5"
    )
    for verify in (True, False):
        with pytest.raises(FileNotFoundError, match=wanted):
            data.load("svhn", "train", root=tmp_path, verify=verify)


def test_a_download_appears_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(url: str, folder: str, name: str, md5: str) -> None:
        (Path(folder) / name).write_bytes(b"half")
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(files, "download_url", half)
    with pytest.raises(FileNotFoundError, match="Downloading it failed"):
        data.load("svhn", "train", root=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def whole(url: str, folder: str, name: str, md5: str) -> None:
        mat(Path(folder) / name)
        assert not (tmp_path / "svhn" / name).exists()

    monkeypatch.setattr(files, "download_url", whole)
    monkeypatch.setattr(data.svhn, "is_published", lambda path, md5: True)
    assert len(data.load("svhn", "train", root=tmp_path)) == 7
    assert [path.name for path in (tmp_path / "svhn").iterdir()] == ["train_32x32.mat"]


def test_a_file_that_is_cut_short_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "train_32x32.mat"
    mat(path)
    content = path.read_bytes()
    for size in (0, 1, 100, 127, 128, 130, 136, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(FileNotFoundError, match=r"damaged: .*train_32x32.mat"):
            data.load("svhn", "train", root=tmp_path, verify=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "cannot be read"),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1))},
            r"found uint8 .*\(3, 1\)",
        ),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))}, "found float64"),
        (
            {"X": np.zeros((32, 32, 1, 2), np.uint8), "y": np.ones((2, 1))},
            r"found uint8 \(32, 32, 1",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[0], [10]])},
            "labels from 1 to 10 .* found 0 to 10",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [11]])},
            "found 1 to 11",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused(
    content: dict[str, object], message: str, tmp_path: Path
) -> None:
    savemat(tmp_path / "train_32x32.mat", content)
    with pytest.raises(FileNotFoundError, match=message):
        data.load("svhn", "train", root=tmp_path, verify=False)


def test_one_image_is_a_set_too(tmp_path: Path) -> None:
    images = mat(tmp_path / "test_32x32.mat", 1)
    savemat(tmp_path / "test_32x32.mat", {"X": images[..., 0], "y": 10})  # as MATLAB stores one
    found = data.load("svhn", "test", root=tmp_path, verify=False)
    assert (found.pixels[0].numpy() == images[:, :, :, 0].transpose(2, 0, 1)).all()
    assert found.labels.tolist() == [0]


def test_the_real_images(svhn_root: Path) -> None:
    train = data.load("svhn", "train", root=svhn_root, verify=False)
    assert train.note == "" or train.note.startswith("SVHN, first ")
    assert set(train.labels.tolist()) == set(range(10))
    assert train.labels[0] == 1, "the first image shows the 1 of house 19"
    assert 0.3 < train.images.mean() < 0.6
    assert train.pixels.float().std(dim=(1, 2, 3)).min() > 0.5, "no image is blank"
