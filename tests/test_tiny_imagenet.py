"""Tiny-ImageNet: read in place, in the order of its wnids, and never from outside its folder."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from partlib import data
from partlib.data import files, tiny_imagenet

WNIDS = ["n00000007", "n00000002", "n00000005"]


def picture(seed: int, *, side: int = 64, grey: bool = False) -> bytes:
    low = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(low).resize((side, side), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    (image.convert("L") if grey else image).save(out, "JPEG", quality=90)
    return out.getvalue()


def decoded(content: bytes) -> torch.Tensor:
    image = np.asarray(Image.open(io.BytesIO(content)))
    image = np.stack([image] * 3, axis=2) if image.ndim == 2 else image
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def content() -> dict[str, bytes]:
    """A small set in the layout of the real one: 3 classes, 4 train and 2 validation images."""
    made = {
        "wnids.txt": ("\n".join(WNIDS) + "\n").encode(),
        "words.txt": b"n00000007\tseventh, last\nn00000001\tunused\nn00000005\tfifth\n",
        "test/images/test_0.JPEG": b"not read",
    }
    for c, wnid in enumerate(WNIDS):
        made[f"train/{wnid}/{wnid}_boxes.txt"] = b"not read"
        for i in range(4):
            made[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = picture(10 * c + i, grey=i == 2)
    lines = []
    for i, wnid in enumerate([WNIDS[1], WNIDS[0], WNIDS[2], WNIDS[2], WNIDS[1], WNIDS[0]]):
        made[f"val/images/val_{i}.JPEG"] = picture(100 + i)
        lines.append(f"val_{i}.JPEG\t{wnid}\t0\t1\t2\t3\n")
    made["val/val_annotations.txt"] = "".join(lines).encode()
    return made


def as_zip(root: Path, made: dict[str, bytes], name: str = "tiny-imagenet-200.zip") -> Path:
    with zipfile.ZipFile(root / name, "w") as archive:
        for inside, value in made.items():
            archive.writestr(f"tiny-imagenet-200/{inside}", value)
    return root / name


def as_folder(root: Path, made: dict[str, bytes]) -> Path:
    for inside, value in made.items():
        path = root / "tiny-imagenet-200" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    return root / "tiny-imagenet-200"


def load(split: str, root: Path, **settings: Any) -> data.ImageSet:
    return data.load("tiny-imagenet", split, root=root, **{"verify": False, **settings})


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr(files, "download_url", refuse)


@pytest.mark.parametrize("lay", [as_zip, as_folder])
def test_images_labels_and_names_are_those_of_the_files(lay: Any, tmp_path: Path) -> None:
    made = content()
    lay(tmp_path, made)
    train, test = load("train", tmp_path), load("test", tmp_path)
    assert (train.pixels.shape, train.pixels.dtype) == ((12, 3, 64, 64), torch.uint8)
    assert train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4, "in the order of wnids.txt"
    assert train.labels.dtype == torch.int64
    assert train.class_names == ("seventh", "n00000002", "fifth")
    for i, pixels in enumerate(train.pixels):
        wnid = WNIDS[i // 4]
        expected = decoded(made[f"train/{wnid}/images/{wnid}_{i % 4}.JPEG"])
        assert torch.equal(pixels, expected)
    assert (train.pixels[2].amax(dim=0) == train.pixels[2].amin(dim=0)).all(), "grey, as RGB"
    assert test.split == "test"
    assert test.labels.tolist() == [1, 0, 2, 2, 1, 0], "in the order of the list"
    for i, pixels in enumerate(test.pixels):
        assert torch.equal(pixels, decoded(made[f"val/images/val_{i}.JPEG"]))
    assert train.note == "Tiny-ImageNet, 3 classes, 12 train images"
    assert test.note == "Tiny-ImageNet, 3 classes, 6 test images"


def test_wnids_say_which_classes_there_are(tmp_path: Path) -> None:
    made = content()
    made["wnids.txt"] = b"n00000005\nn00000007"
    as_zip(tmp_path, made)
    assert load("train", tmp_path).class_names == ("fifth", "seventh")
    assert load("test", tmp_path).labels.tolist() == [1, 0, 0, 1]


def test_a_pick_is_by_seed_and_belongs_to_its_labels(tmp_path: Path) -> None:
    as_zip(tmp_path, content())
    whole, picked = load("train", tmp_path), load("train", tmp_path, n=5, seed=3)
    assert len(picked) == 5
    for pixels, label in zip(picked.pixels, picked.labels, strict=True):
        (i,) = [i for i in range(12) if torch.equal(whole.pixels[i], pixels)]
        assert whole.labels[i] == label
    assert torch.equal(picked.pixels, load("train", tmp_path, n=5, seed=3).pixels)
    assert not torch.equal(picked.pixels, load("train", tmp_path, n=5, seed=4).pixels)
    with pytest.raises(ValueError, match="n: tiny-imagenet train has 12 images, found 13"):
        load("train", tmp_path, n=13)


def test_a_whole_set_has_no_note_and_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_zip(tmp_path, content())
    with pytest.raises(FileNotFoundError, match=r"damaged or cut: .*zip has not the md5.*verify=F"):
        load("train", tmp_path, verify=True)
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 3)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 4, "test": 2})
    monkeypatch.setattr(tiny_imagenet, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    for verify in (True, False):
        assert load("train", tmp_path, verify=verify).note == ""
    path.unlink()
    folder = as_folder(tmp_path, content())
    assert load("test", tmp_path, verify=True).note == ""
    (folder / f"train/{WNIDS[1]}/images/{WNIDS[1]}_0.JPEG").unlink()
    wanted = "damaged or cut: .* has 3 classes and 11 train images of 3 and 12"
    with pytest.raises(FileNotFoundError, match=wanted):
        load("train", tmp_path, verify=True)
    assert load("train", tmp_path).note == "Tiny-ImageNet, 3 classes, 11 train images"
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 5)
    assert load("test", tmp_path).note == "Tiny-ImageNet, 3 classes"


def test_a_cut_may_have_a_longer_name_but_only_one(tmp_path: Path) -> None:
    as_zip(tmp_path, content(), "tiny-imagenet-200-part.zip")
    assert len(load("train", tmp_path)) == 12
    with pytest.raises(
        FileNotFoundError, match=r"missing: .*-part.zip \(a cut.*Downloading.*no ne"
    ):
        load("train", tmp_path, verify=True)
    as_zip(tmp_path, content(), "tiny-imagenet-200-other.zip")
    with pytest.raises(FileNotFoundError, match="Of a cut one zip is needed, found 2"):
        load("train", tmp_path)


def test_a_missing_set_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    wanted = rf"Tiny-ImageNet is missing: .*zip .* in {tmp_path}.* Put tiny-imagenet-200.zip \(md5"
    for verify in (True, False):
        with pytest.raises(FileNotFoundError, match=wanted):
            load("train", tmp_path, verify=verify)


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.txt",
        "tiny-imagenet-200/../../escaped.txt",
        "tiny-imagenet-200/..",
        "/escaped.txt",
        "..\\escaped.txt",
        "C:/escaped.txt",
    ],
)
def test_an_archive_with_a_name_outside_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    path = as_zip(root, content())
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name  # as an attacker writes it
        archive.writestr(info, b"owned")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileNotFoundError, match="a name outside its own folder"):
        load("train", root)
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_writes_nothing(tmp_path: Path) -> None:
    as_zip(tmp_path, content())
    load("train", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["tiny-imagenet-200.zip"]


@pytest.mark.parametrize("lay", [as_zip, as_folder])
@pytest.mark.parametrize(
    ("split", "changes", "message"),
    [
        ("train", {"wnids.txt": None}, "has no wnids.txt"),
        ("train", {"wnids.txt": b"n00000007\n../../x\n"}, r"has '../../x' in wnids.txt"),
        ("train", {"wnids.txt": b"n00000007\nn00000007\n"}, "at least two different classes"),
        ("train", {"wnids.txt": b"n00000007\n"}, "at least two different classes"),
        ("train", {"wnids.txt": b"n00000007\nn00000009\n"}, "has no images in train/n00000009/ima"),
        ("test", {"val/val_annotations.txt": None}, "has no val/val_annotations.txt"),
        ("test", {"val/val_annotations.txt": b"\n"}, "lists no image of its classes"),
        ("test", {"val/val_annotations.txt": b"no.JPEG\tn00000007\n"}, "has no val/images/no.JPEG"),
        (
            "test",
            {"val/val_annotations.txt": b"../../wnids.txt\tn00000007\n"},
            "has no val/images/../../wnids.txt",
        ),
        ("test", {"val/images/val_3.JPEG": b"\xff\xd8 no picture"}, "val_3.JPEG, which cannot be"),
        ("test", {"val/images/val_3.JPEG": picture(1)[:-400]}, "val_3.JPEG, which cannot be read"),
        ("test", {"val/images/val_3.JPEG": picture(1, side=32)}, "val_3.JPEG of 32 x 32, not 64"),
    ],
)
def test_a_damaged_set_is_never_read(
    lay: Any, split: str, changes: dict[str, bytes | None], message: str, tmp_path: Path
) -> None:
    made = {k: v for k, v in {**content(), **changes}.items() if v is not None}
    lay(tmp_path, made)
    with pytest.raises(FileNotFoundError, match=message):
        load(split, tmp_path)


def test_a_zip_that_is_cut_short_or_altered_is_never_read(tmp_path: Path) -> None:
    path = as_zip(tmp_path, content())
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FileNotFoundError, match="is no whole zip"):
            load("train", tmp_path)
    at = whole.index(picture(1)) + 500
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(FileNotFoundError, match=r"_1.JPEG, which cannot be read \(Bad CRC"):
        load("train", tmp_path)


def test_the_real_images(tiny_imagenet_root: Path) -> None:
    test = load("test", tiny_imagenet_root)
    classes = len(test.class_names)
    assert test.note in ("", f"Tiny-ImageNet, {classes} classes")
    assert torch.bincount(test.labels).tolist() == [50] * classes
    assert test.pixels.shape == (50 * classes, 3, 64, 64)
    assert test.class_names[:3] == ("Egyptian cat", "reel", "volleyball")
    assert 0.35 < test.images.mean() < 0.55
    assert (test.pixels.amax(dim=1) == test.pixels.amin(dim=1)).all(dim=2).all(dim=1).any(), "grey"
    train = load("train", tiny_imagenet_root, n=300)
    assert len(train) == 300
    assert train.note == test.note
