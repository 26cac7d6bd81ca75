"""Data: scene-digits is exact, fixed and leaks nothing; CIFAR-10 is whole or refused."""

import hashlib
import pickle
import shutil
import time
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from partlib import data
from partlib.data import ImageSet, cifar10, scene_digits, shift_and_flip

SPLITS = ("train", "val", "test")
PHOTOS = tuple(photo.transpose(2, 0, 1) for photo in load_sample_images().images)


def draw(split: str = "train", n: int = 50, seed: int = 0) -> ImageSet:
    return data.load("scene-digits", split, n=n, seed=seed)


def crops(image: np.ndarray, mask: np.ndarray) -> list[tuple[int, int, int]]:
    """Every (photo, top, left) whose 32 x 32 crop equals the image wherever the mask is 0."""
    rows, columns = np.nonzero(mask == 0)
    found = []
    for which, photo in enumerate(PHOTOS):
        _, height, width = photo.shape
        tops, lefts = (v.ravel() for v in np.indices((height - 31, width - 31)))
        for row, column in zip(rows, columns, strict=True):
            same = photo[:, tops + row, lefts + column] == image[:, row, column][:, None]
            tops, lefts = tops[same.all(axis=0)], lefts[same.all(axis=0)]
        found += [(which, int(top), int(left)) for top, left in zip(tops, lefts, strict=True)]
    return found


def same(a: ImageSet, b: ImageSet) -> bool:
    assert a.object_pixels is not None
    assert b.object_pixels is not None
    return (
        torch.equal(a.pixels, b.pixels)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.object_pixels, b.object_pixels)
    )


@pytest.mark.parametrize("split", SPLITS)
def test_scene_digits_has_the_promised_shapes_types_and_ranges(split: str) -> None:
    s = draw(split, 30)
    assert (s.name, s.split, len(s), len(s.class_names)) == ("scene-digits", split, 30, 10)
    assert (s.images.shape, s.images.dtype) == ((30, 3, 32, 32), torch.float32)
    assert (s.labels.shape, s.labels.dtype) == ((30,), torch.int64)
    assert s.pixels.dtype == torch.uint8
    assert s.masks is not None
    assert (s.masks.shape, s.masks.dtype) == ((30, 32, 32), torch.float32)
    assert 0 <= s.images.min() < 0.3 < 0.7 < s.images.max() <= 1
    assert s.masks.min() == 0
    assert 0.9 < s.masks.max() <= 1
    share = (s.masks > 0.5).float().mean(dim=(1, 2))
    assert (share > 0.02).all(), "each image shows an object"
    assert (share < 0.5).all(), "each image shows a scene"
    assert s.labels.min() >= 0
    assert s.labels.max() <= 9


def test_whole_splits_are_as_long_as_documented() -> None:
    assert scene_digits.DEFAULT_N == {"train": 10_000, "val": 1_000, "test": 2_000}
    assert len(data.load("scene-digits", "val")) == 1_000


@pytest.mark.parametrize("split", SPLITS)
def test_what_the_mask_leaves_out_is_a_photograph_and_the_rest_is_ink(split: str) -> None:
    s = draw(split, 8, seed=3)
    assert s.object_pixels is not None
    for image, mask in zip(s.pixels.numpy(), s.object_pixels.numpy(), strict=True):
        fits = []
        for which, top, left in crops(image, mask):
            scene = PHOTOS[which][:, top : top + 32, left : left + 32].astype(float)
            ink = image[:, mask == mask.max()].mean(axis=1)[:, None, None]
            expected = scene + (ink - scene) * mask / 255
            fits.append(np.abs(expected - image).max())
        assert fits, "no crop of a photograph equals the image where the mask is 0"
        # Where the mask's peak is below 255 the ink is known only so closely.
        assert min(fits) <= 1 + 255 * (1 - mask.max() / 255)


def test_same_seed_same_bytes_and_a_longer_set_begins_with_the_shorter() -> None:
    first = draw(n=50, seed=7)
    assert same(first, draw(n=50, seed=7))
    assert same(first[:10], draw(n=10, seed=7))
    assert not same(first[:10], draw(n=10, seed=8))
    assert not torch.equal(draw("val").pixels, draw("test").pixels)


def digest(s: ImageSet) -> str:
    assert s.object_pixels is not None
    parts = (s.pixels, s.labels, s.object_pixels)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


def test_the_images_are_the_same_on_every_machine() -> None:
    """Every measured result is of these images: if they change, all runs must be made again."""
    assert {split: digest(data.load("scene-digits", split)) for split in SPLITS} == {
        "train": "58d4e0df2ac31671",
        "val": "0f06acef7992d1b6",
        "test": "dbd463da15035bb7",
    }


def test_drawing_neither_reads_nor_moves_the_global_random_state() -> None:
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = draw(n=5)
    assert (before[0] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())
    np.random.seed(2)  # noqa: NPY002
    assert same(first, draw(n=5))


def test_splits_share_no_digit() -> None:
    owned = {split: np.concatenate(scene_digits._digits(split)) for split in SPLITS}
    everything = np.concatenate(list(owned.values()))
    assert len(everything) == len(set(everything.tolist())) == 1797
    _, labels, _ = scene_digits._sources()
    for split in SPLITS:
        for c, members in enumerate(scene_digits._digits(split)):
            assert (labels[members] == c).all()
            assert len(members) >= 15


def test_splits_share_no_region_of_a_photograph() -> None:
    for which, photo in enumerate(PHOTOS):
        strips = [scene_digits._scenes(split)[which] for split in SPLITS]
        assert sum(strip.shape[2] for strip in strips) == photo.shape[2]
        assert (np.concatenate(strips, axis=2) == photo).all(), "side by side, in this order"
    ends = np.cumsum([0, *(scene_digits._scenes(split)[0].shape[2] for split in SPLITS)])
    for split, start, end in zip(SPLITS, ends, ends[1:], strict=False):
        s = draw(split, 6, seed=5)
        assert s.object_pixels is not None
        for image, mask in zip(s.pixels.numpy(), s.object_pixels.numpy(), strict=True):
            found = crops(image, mask)
            assert any(start <= left and left + 32 <= end for _, _, left in found), (split, found)


def test_labels_are_balanced_and_belong_to_the_digit_that_is_drawn() -> None:
    s = draw("train", 3_000)
    share = torch.bincount(s.labels, minlength=10) / len(s)
    assert ((share - 0.1).abs() < 0.025).all(), share
    # The mean object of a class, measured on other images, tells most labels apart.
    assert s.masks is not None
    centred = torch.stack([centre(mask) for mask in s.masks]).flatten(1)
    means = torch.stack([centred[:2_000][s.labels[:2_000] == c].mean(dim=0) for c in range(10)])
    guess = torch.cdist(centred[2_000:], means).argmin(dim=1)
    assert (guess == s.labels[2_000:]).float().mean() > 0.5


def centre(mask: torch.Tensor) -> torch.Tensor:
    """The mask with its object's middle in the image's middle."""
    rows, columns = (mask > 0).nonzero(as_tuple=True)
    shift = [15 - int(v.min() + v.max()) // 2 for v in (rows, columns)]
    return mask.roll(shift, dims=(0, 1))


def test_ten_thousand_images_are_drawn_in_five_seconds() -> None:
    start = time.process_time()
    s = data.load("scene-digits", "train")
    assert time.process_time() - start < 5
    assert len(s) == 10_000


def test_slices_and_indices_give_image_sets() -> None:
    s = draw(n=10)
    assert same(s[2:4], s[torch.tensor([2, 3])])
    assert same(s[s.labels == s.labels[0]][:1], s[:1])
    assert s[:3].class_names == s.class_names
    assert torch.equal(s[4:5].images[0], s.pixels[4].float() / 255)
    with pytest.raises(TypeError, match=r"index: .* found 3"):
        s[3]  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist", "split": "train"}, r"name: .*scene-digits.*found 'mnist'"),
        ({"name": "scene-digits", "split": "dev"}, r"split: .*train, val, test.*found 'dev'"),
        ({"name": "cifar10", "split": "val"}, r"split: .*found 'val'.*hold_out"),
        ({"name": "cifar10", "split": "extra"}, r"split: .*train, test, found 'extra'"),
        ({"name": "svhn", "split": "val"}, r"split: .*train, test, extra, found 'val'.*hold_out"),
        ({"name": "tiny-imagenet", "split": "val"}, r"split: .*train, test, found 'val'.*hold_o"),
        ({"name": "scene-digits", "split": "train", "n": 0}, r"n: .*found 0"),
        ({"name": "scene-digits", "split": "train", "seed": -1}, r"seed: .*found -1"),
    ],
)
def test_load_names_the_bad_argument(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)  # type: ignore[arg-type]


def test_hold_out_splits_without_loss_or_overlap() -> None:
    s = draw(n=40)
    kept, held = data.hold_out(s, 15, seed=1)
    assert (len(kept), len(held)) == (25, 15)
    rows = {row.numpy().tobytes() for row in s.pixels}
    parts = [{row.numpy().tobytes() for row in part.pixels} for part in (kept, held)]
    assert len(rows) == 40
    assert parts[0] | parts[1] == rows
    assert not parts[0] & parts[1]
    assert same(data.hold_out(s, 15, seed=1)[1], held)
    assert not same(data.hold_out(s, 15, seed=2)[1], held)
    for n in (0, 40):
        with pytest.raises(ValueError, match=f"n: between 1 and 39 is needed, found {n}"):
            data.hold_out(s, n)


@pytest.mark.parametrize(("pad", "flip"), [(0, False), (2, False), (0, True), (2, True)])
def test_shift_and_flip_is_one_of_the_allowed_moves_of_each_image(pad: int, flip: bool) -> None:
    n, side = 600, 6
    x = torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(0))
    x = x.to(torch.uint8)
    out = shift_and_flip(x, pad=pad, flip=flip, generator=torch.Generator().manual_seed(1))
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    moves = [(r, c, m) for r in range(-pad, pad + 1) for c in range(-pad, pad + 1) for m in (0, 1)]
    counts = dict.fromkeys(moves if flip else [m for m in moves if not m[2]], 0)
    for before, after in zip(x.numpy(), out.numpy(), strict=True):
        fits = [move for move in counts if (plain_move(before, *move) == after).all()]
        assert len(fits) == 1
        counts[fits[0]] += 1
    expected = n / len(counts)
    assert all(0.2 * expected <= count <= 2.2 * expected for count in counts.values()), counts
    if flip:
        assert 0.4 < sum(v for move, v in counts.items() if move[2]) / n < 0.6
    again = shift_and_flip(x, pad=pad, flip=flip, generator=torch.Generator().manual_seed(1))
    assert torch.equal(out, again)


def plain_move(image: np.ndarray, down: int, right: int, mirrored: int) -> np.ndarray:
    """One image, moved pixel by pixel, black coming in, then mirrored."""
    _, height, width = image.shape
    out = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                out[:, row, column] = image[:, row + down, column + right]
    return out[:, :, ::-1] if mirrored else out


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


def test_found_says_where_the_sets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTLIB_DATA", str(tmp_path))
    where = tmp_path / "cifar-10-batches-py"
    assert data.found() == {
        "scene-digits": "embedded",
        "cifar10": f"not at {where}",
        "svhn": f"not at {tmp_path / 'svhn'}",
        "tiny-imagenet": f"not at {tmp_path / 'tiny-imagenet-200.zip'}",
    }
    assert set(data.found()) == set(data.NAMES)
    where.mkdir()
    assert data.found()["cifar10"] == str(where)
    cut = tmp_path / "tiny-imagenet-200-part.zip"
    cut.touch()
    assert data.found()["tiny-imagenet"] == f"{cut} (a cut, to be read without verifying)"
    (tmp_path / "tiny-imagenet-200").mkdir()
    assert data.found()["tiny-imagenet"] == str(tmp_path / "tiny-imagenet-200")
    (tmp_path / "train_first9.mat").touch()
    wanted = f"{tmp_path}: train_first9.mat (a cut, to be read without verifying)"
    assert data.found()["svhn"] == wanted
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "test_32x32.mat").touch()
    assert data.found()["svhn"] == f"{tmp_path / 'svhn'}: test_32x32.mat"
    assert data.find_root(tmp_path / "x") == tmp_path / "x"
    monkeypatch.delenv("PARTLIB_DATA")
    assert data.find_root() == Path.home() / ".cache" / "partlib"
