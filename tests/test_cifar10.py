"""CIFAR-10 is whole or refused."""

import pickle
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from partlib import data
from partlib.data import cifar10


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)


@pytest.fixture
def _no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a damaged file was read")

    monkeypatch.setattr(pickle, "load", refuse)


@pytest.mark.usefixtures("_no_network")
def test_a_missing_set_says_what_where_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = r"CIFAR-10 is missing.*{}.*nothing.*no network.*cifar-10-python.tar.gz.*PARTLIB_DATA"
    with pytest.raises(FileNotFoundError, match=wanted.format(tmp_path / "here")):
        data.load("cifar10", "test", root=tmp_path / "here")
    monkeypatch.setenv("PARTLIB_DATA", str(tmp_path / "there"))
    with pytest.raises(FileNotFoundError, match=wanted.format(tmp_path / "there")):
        data.load("cifar10", "test")


@pytest.mark.usefixtures("_no_network", "_no_reading")
def test_files_that_are_not_the_published_ones_are_never_read(tmp_path: Path) -> None:
    folder = cifar10.folder(tmp_path)
    folder.mkdir()
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half an archive")
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps({"data": [], "labels": []}))
    with pytest.raises(FileNotFoundError, match=r"damaged.*data_batch_1.*test_batch"):
        data.load("cifar10", "train", root=tmp_path)


def test_a_download_appears_file_by_file_and_whole(
    cifar10_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that fetch the set at once do not tread on each other's files."""
    published, asked = cifar10.folder(cifar10_root), []

    def fetch(url: str, root: str, **_: object) -> None:
        asked.append(Path(root))
        assert Path(root) != tmp_path, "what is unpacked must lie aside"
        shutil.copytree(published, cifar10.folder(Path(root)))

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fetch)
    for _ in range(2):  # the second finds it
        assert len(data.load("cifar10", "test", n=5, root=tmp_path)) == 5
    assert len(asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.usefixtures("_no_network", "_no_reading")
def test_one_wrong_byte_is_refused(cifar10_root: Path, tmp_path: Path) -> None:
    copy = cifar10.folder(tmp_path)
    copy.mkdir()
    for path in cifar10.folder(cifar10_root).iterdir():
        (copy / path.name).symlink_to(path.resolve())
    (copy / "data_batch_3").unlink()
    shutil.copy(cifar10.folder(cifar10_root) / "data_batch_3", copy)
    with (copy / "data_batch_3").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(FileNotFoundError, match="damaged"):
        data.load("cifar10", "train", root=tmp_path)


@pytest.mark.usefixtures("_no_network")
def test_cifar10_is_read_as_published(cifar10_root: Path) -> None:
    test = data.load("cifar10", "test", root=cifar10_root)
    assert (test.pixels.shape, test.pixels.dtype) == ((10_000, 3, 32, 32), torch.uint8)
    assert (test.labels.dtype, test.masks, test.split) == (torch.int64, None, "test")
    assert torch.bincount(test.labels).tolist() == [1_000] * 10
    assert test.class_names[:3] == ("airplane", "automobile", "bird")
    with (cifar10.folder(cifar10_root) / "test_batch").open("rb") as file:
        batch = pickle.load(file, encoding="bytes")
    for i in (0, 17, 9_999):
        flat = batch[b"data"][i]
        red, green, blue = (flat[k * 1024 : (k + 1) * 1024].reshape(32, 32) for k in range(3))
        assert (test.pixels[i].numpy() == np.stack([red, green, blue])).all()
        assert test.labels[i] == batch[b"labels"][i]
    picked = data.load("cifar10", "test", n=500, seed=1, root=cifar10_root)
    assert len(picked) == 500
    assert len(torch.unique(picked.labels)) == 10
    assert torch.equal(
        picked.pixels, data.load("cifar10", "test", n=500, seed=1, root=cifar10_root).pixels
    )
    assert not torch.equal(
        picked.pixels, data.load("cifar10", "test", n=500, seed=2, root=cifar10_root).pixels
    )
    with pytest.raises(ValueError, match=r"n: .*10000 images, found 10001"):
        data.load("cifar10", "test", n=10_001, root=cifar10_root)


@pytest.mark.usefixtures("_no_network")
def test_cifar10_has_its_fifty_thousand_training_images(cifar10_root: Path) -> None:
    train = data.load("cifar10", "train", root=cifar10_root)
    assert torch.bincount(train.labels).tolist() == [5_000] * 10
    assert train.pixels.shape == (50_000, 3, 32, 32)
