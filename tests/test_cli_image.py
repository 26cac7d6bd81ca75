"""The commands about images: what they write, and what they say of it."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commanded import exit_code, invoke
from PIL import Image

from partlib import cam, data, evaluation, zoo

DIGITS = data.load("scene-digits", "test", n=8)


def array(path: str | Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    with Image.open(path) as file:
        assert file.mode == "RGB"
        return np.asarray(file).astype(np.int64)


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    Image.fromarray(DIGITS.pixels[2].permute(1, 2, 0).numpy()).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "eps", "most", "k"),
    [("pgd", 8, 8, 15), ("fgsm", 2.5, 2, 63), ("mma", 3, 3, 42), ("fgsm", 0.4, 0, 127)],
)
def test_attack_stays_in_the_budget_in_bytes(
    name: str, eps: float, most: int, k: int, digit: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "here"
    arguments = ["--model", "natural", "--attack", name, "--eps", str(eps), "--out", str(out)]
    found = json.loads(invoke("attack", str(digit), *arguments, "--json").stdout)
    change = array(out / "adversarial.png") - array(digit)
    assert np.abs(change).max() == found["largest_change"] == most
    assert found["k"] == k
    assert (array(out / "perturbation.png") == 128 + k * change).all()
    assert (array(out / "image.png") == array(digit)).all()
    files = {path.stem: str(path) for path in out.iterdir()}
    assert found["files"] == files
    assert set(files) == {"image", "adversarial", "perturbation", "figure"}
    # What is said to be seen is seen in the file, and without the rounding.
    net = zoo.load("natural")
    image = data.to_float(torch.from_numpy(array(out / "adversarial.png")).permute(2, 0, 1)[None])
    share, best = evaluation.predict(net, image).softmax(dim=1)[0].max(dim=0)
    assert found["after"]["class"] == DIGITS.class_names[best]
    assert found["after"]["percent"] == pytest.approx(100 * share.item(), abs=0.01)
    assert found["before"]["class"] == found["label"] == "five"
    if name == "pgd":
        assert found["after"]["class"] != "five"
        attack = evaluation.attack_named("pgd20", eps=eps / 255)
        exact = attack(net, DIGITS[2:3].images, DIGITS.labels[2:3])
        share = evaluation.predict(net, exact).softmax(dim=1).max()
        percent = found["after_without_rounding"]["percent"]
        assert percent == pytest.approx(100 * share.item(), abs=0.01)
    if most == 0:
        assert found["after"] == found["before"] != found["after_without_rounding"]


def test_attack_says_what_it_did(
    digit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = invoke("attack", str(digit), "--model", "natural", "--steps", "5").stdout
    assert text.startswith("before       five 100 %\nafter        ")
    assert "; before the rounding to 8 bits " in text
    assert "change       8/255 at most, of 8/255 allowed\n" in text
    assert "perturbation shown 15 times, 128 is no change\n" in text
    assert text.endswith("written to digit-attacked/: image.png, adversarial.png, "
                         "perturbation.png, figure.png\n")  # fmt: skip
    assert len(list((tmp_path / "digit-attacked").iterdir())) == 4


def test_what_was_written_before_is_kept_unless_it_is_named(
    digit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, first in {"attack": "digit-attacked", "cam": "digit-cam.png"}.items():
        for name in (first, first.replace(".png", "") + "-2" + ".png" * first.endswith(".png")):
            said = invoke(command, str(digit), *["--attack", "fgsm"] * (command == "attack")).stdout
            assert re.search(rf"^written to {re.escape(name)}(/:|$)", said, re.MULTILINE)
            assert Path(name).exists()
    before = Path("digit-cam.png").read_bytes()
    invoke("cam", str(digit), "--cam", "layer_cam", "--out", "digit-cam.png")
    assert Path("digit-cam.png").read_bytes() != before


def test_a_label_is_a_name_or_a_number(digit: Path, tmp_path: Path) -> None:
    found = []
    for label in ("three", "3"):
        out = tmp_path / label
        arguments = ["--attack", "fgsm", "--label", label, "--out", str(out), "--json"]
        found.append(json.loads(invoke("attack", str(digit), *arguments).stdout))
        assert found[-1].pop("files")
    assert found[0] == found[1]
    assert found[0]["label"] == "three"


def test_a_photograph_is_resized_only_if_asked(tmp_path: Path) -> None:
    wide = np.zeros((60, 100, 3), np.uint8)
    wide[:, 20:80] = 200  # the middle square
    path = tmp_path / "photo.png"
    Image.fromarray(wide).convert("L").save(path)
    out = tmp_path / "out"
    invoke("attack", str(path), "--resize", "--attack", "fgsm", "--out", str(out))
    assert array(out / "image.png").shape == (32, 32, 3)
    assert (array(out / "image.png")[:, 3:-3] == 200).all()
    assert np.abs(array(out / "adversarial.png") - array(out / "image.png")).max() == 8


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image = Image.fromarray(
        np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    )
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "turned.png", exif=exif)
    invoke("attack", str(tmp_path / "turned.png"), "--attack", "fgsm", "--out", str(tmp_path))
    assert (array(tmp_path / "image.png") == np.asarray(image)[::-1, ::-1]).all()


def test_cam_writes_a_figure_and_says_where_the_network_looks(
    digit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = invoke("cam", str(digit), "--model", "part").stdout
    assert text.endswith("written to digit-cam.png\n")
    first = (tmp_path / "digit-cam.png").read_bytes()
    out = str(tmp_path / "other.png")
    arguments = ["--model", "part", "--cam", "layer_cam", "--target", "three", "--out", out]
    found = json.loads(invoke("cam", str(digit), *arguments, "--json").stdout)
    heat = cam.layer_cam(zoo.load("part"), DIGITS[2:3].images, torch.tensor([3]))
    share = 100 * cam.important(heat).float().mean().item()
    assert found["important_percent"] == pytest.approx(share, abs=0.01)
    hottest = found["hottest"]
    assert heat[0, hottest["row"], hottest["column"]] == 1
    assert (found["target"], found["seen"]["class"]) == ("three", "five")
    assert Path(out).read_bytes() != first


def test_a_network_of_a_run_names_what_it_can(tmp_path: Path, digit: Path) -> None:
    run = tmp_path / "run"
    small = ["--n-train", "32", "--n-test", "10", "--epochs", "1", "--out", str(run)]
    invoke("train", "scene-digits", "natural", *small)
    found = json.loads(invoke("cam", str(digit), "--model", str(run), "--json",
                              "--out", str(tmp_path / "c.png")).stdout)  # fmt: skip
    assert found["seen"]["class"] in DIGITS.class_names
    record = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**record, "weights_sha256": "0"}))
    with pytest.raises(ValueError, match="model: the weights in"):
        invoke("cam", str(digit), "--model", str(run))
    (run / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"model: at, .*, trades or the folder"):
        invoke("cam", str(digit), "--model", str(run))


def test_data_lists_where_the_sets_are(tmp_path: Path) -> None:
    text = invoke("data", "--root", str(tmp_path)).stdout
    assert text.splitlines()[0] == "scene-digits   embedded"
    assert text.splitlines()[2] == f"svhn           not at {tmp_path / 'svhn'}"
    found = json.loads(invoke("data", "--root", str(tmp_path), "--json").stdout)
    assert found["root"] == str(tmp_path)
    assert set(found["found"]) == set(data.NAMES)


def test_data_says_what_a_set_holds_and_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = invoke("data", "scene-digits").stdout
    for line in (
        "where      embedded",
        "test       2,000 images, 3 x 32 x 32, 6 MiB, 178 to 221 a class",
        "classes    10: zero, one, two, three, four, five, six, seven, eight, nine",
        "verified   yes",
        "contact sheet of test images written to scene-digits.png",
    ):
        assert f"{line}\n" in text
    assert array("scene-digits.png").shape[1] > 300
    found = json.loads(invoke("data", "scene-digits", "--json").stdout)
    assert found["splits"]["train"]["shape"] == [10_000, 3, 32, 32]
    assert found["splits"]["val"]["masks"]


def test_data_refuses_a_real_cut_unless_asked(svhn_root: Path, tmp_path: Path) -> None:
    if (svhn_root / "svhn" / "train_32x32.mat").exists():
        pytest.skip("the whole SVHN is here")
    out = ["--root", str(svhn_root), "--out", str(tmp_path / "svhn.png")]
    with pytest.raises(FileNotFoundError, match="SVHN is missing"):
        invoke("data", "svhn", *out)
    found = json.loads(invoke("data", "svhn", *out, "--no-verify", "--json").stdout)
    assert not found["verified"]
    assert found["splits"]["train"]["note"].startswith("SVHN, first ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack", "none.png"], "image: none.png is missing"),
        (["attack", "text.png"], "image: a picture is needed, text.png cannot be read ("),
        (["attack", "cut.png"], "image: a picture is needed, cut.png cannot be read ("),
        (["attack", "."], "image: a picture is needed, . cannot be read ("),
        (
            ["attack", "large.png"],
            "image: 32 x 32 pixels are needed, large.png has 40 x 33",
        ),
        (["cam", "clear.png"], "image: a picture without transparency is needed, clear.png has"),
        (["cam", "deep.png"], "image: 8 bits a channel are needed, deep.png has mode I;16"),
        (
            ["attack", "digit.png", "--model", "x"],
            "model: at, cifar10-at, ",
        ),
        (["attack", "digit.png", "--attack", "x"], "attacks: "),
        (["attack", "digit.png", "--attack", "natural"], "attack: fgsm, pgd, mma or aa is needed"),
        (
            ["attack", "digit.png", "--attack", "mma", "--steps", "3"],
            "steps: mma takes none",
        ),
        (["attack", "digit.png", "--steps", "0"], "steps: 1 or more are needed, found 0"),
        (["attack", "digit.png", "--eps", "-1"], "eps: 0 to 255 is needed, in 1/255, found -1"),
        (["attack", "digit.png", "--eps", "300"], "eps: 0 to 255 is needed, in 1/255, found 300"),
        (["attack", "digit.png", "--eps", "nan"], "eps: 0 to 255 is needed, in 1/255, found nan"),
        (["attack", "image.png", "--out", "."], "out: the image would be written over the image"),
        (["cam", "digit.png", "--out", "digit.png"], "out: the figure would be written over the"),
        (["cam", "digit.png", "--out", "pipe"], "out: a file is needed for the figure, pipe is"),
        (["attack", "digit.png", "--label", "ten"], "label: one of zero, one, "),
        (["attack", "digit.png", "--label", "10"], "label: one of zero, one, "),
        (["attack", "digit.png", "--out", "text.png"], "[Errno "),
        (["cam", "digit.png", "--out", "."], "out: a file is needed for the figure, . is a folder"),
        (["cam", "digit.png", "--cam", "x"], "cam: one of cam, grad_cam, "),
        (["cam", "digit.png", "--target", "-1"], "target: one of zero, one, "),
        (["data", "mnist"], "name: one of scene-digits, "),
    ],
)
@pytest.mark.usefixtures("digit")
def test_an_error_is_one_line_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = Image.open(tmp_path / "digit.png")
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "digit.png").read_bytes()[:300])
    image.resize((40, 33)).save(tmp_path / "large.png")
    shutil.copy(tmp_path / "digit.png", tmp_path / "image.png")
    os.mkfifo(tmp_path / "pipe")
    Image.new("RGBA", (32, 32), (9, 9, 9, 100)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((32, 32), 999, np.uint16)).save(tmp_path / "deep.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert exit_code(*arguments, monkeypatch=monkeypatch) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"partlib: {message}")
    assert found.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
