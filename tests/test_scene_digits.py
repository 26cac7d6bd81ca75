"""scene-digits is exact and fixed, and its splits share nothing."""

import hashlib
import time

import numpy as np
import pytest
import torch
from digits import draw, same
from sklearn.datasets import load_sample_images

from partlib import data
from partlib.data import ImageSet, scene_digits

SPLITS = ("train", "val", "test")
PHOTOS = tuple(photo.transpose(2, 0, 1) for photo in load_sample_images().images)


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
