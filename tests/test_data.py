"""What all data sets share: how they are asked for, cut, held out and augmented."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digits import draw, same

from partlib import data
from partlib.data import ImageSet, shift_and_flip


def test_slices_and_indices_give_image_sets() -> None:
    s = draw(n=10)
    assert same(s[2:4], s[torch.tensor([2, 3])])
    assert same(s[s.labels == s.labels[0]][:1], s[:1])
    assert s[:3].class_names == s.class_names
    assert torch.equal(s[4:5].images[0], s.pixels[4].float() / 255)
    with pytest.raises(TypeError, match=r"index: .* found 3"):
        s[3]  # type: ignore[index]


PIXELS = torch.zeros(4, 3, 5, 6, dtype=torch.uint8)
LABELS, MASKS = torch.tensor([0, 1, 0, 1]), PIXELS[:, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": PIXELS / 255}, "pixels: uint8 (N, 3, H, W) is needed, found torch.float32"),
        ({"pixels": PIXELS.long()}, "pixels: uint8 (N, 3, H, W) is needed, found torch.int64"),
        ({"pixels": PIXELS[0]}, "(N, 3, H, W) is needed, found torch.uint8 (3, 5, 6)"),
        ({"pixels": PIXELS.permute(0, 2, 3, 1)}, "is needed, found torch.uint8 (4, 5, 6, 3)"),
        ({"pixels": PIXELS[:3]}, "labels: int64 (3,) is needed, found torch.int64 (4,)"),
        ({"labels": LABELS[:, None]}, "labels: int64 (4,) is needed, found torch.int64 (4, 1)"),
        ({"labels": LABELS.int()}, "labels: int64 (4,) is needed, found torch.int32 (4,)"),
        ({"labels": LABELS + 1}, "labels: classes in [0, 2) are needed, found 1 to 2"),
        ({"labels": LABELS - 1}, "labels: classes in [0, 2) are needed, found -1 to 0"),
        ({"class_names": ()}, "labels: classes in [0, 0) are needed, found 0 to 1"),
        (
            {"object_pixels": MASKS[:3]},
            "object_pixels: uint8 (4, 5, 6) is needed, found torch.uint8 (3, 5, 6)",
        ),
        (
            {"object_pixels": MASKS.mT},
            "object_pixels: uint8 (4, 5, 6) is needed, found torch.uint8 (4, 6, 5)",
        ),
        (
            {"object_pixels": MASKS.bool()},
            "object_pixels: uint8 (4, 5, 6) is needed, found torch.bool (4, 5, 6)",
        ),
    ],
)
def test_an_image_set_names_a_tensor_that_is_not_as_it_says(
    change: dict[str, Any], message: str
) -> None:
    good: dict[str, Any] = {
        "name": "black", "split": "test", "pixels": PIXELS, "labels": LABELS,
        "class_names": ("a", "b"), "object_pixels": MASKS,
    }  # fmt: skip
    assert len(ImageSet(**good)[:0]) == 0
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageSet(**{**good, **change})


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
