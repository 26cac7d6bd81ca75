"""Commands about one image of the reader's own: `attack` and `cam`."""

from __future__ import annotations

import io
import json
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image, ImageOps
from torch import Tensor, nn

from partlib import cam as maps
from partlib import data, evaluation, runs, show
from partlib.checkpoints import write_bytes

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
File = Annotated[Path, typer.Argument(help="An image file.")]
Model = Annotated[
    str, typer.Option(help="A network of the zoo (at, part, cifar10-at, ...), or a run's folder.")
]
Resize = Annotated[
    bool, typer.Option("--resize", help="Cut the middle square out and resize it, if need be.")
]


def attack(
    image: File,
    model: Model = "at",
    name: Annotated[
        str, typer.Option("--attack", help="fgsm, pgd, mma or aa (AutoAttack).")
    ] = "pgd",
    eps: Annotated[float, typer.Option(help="The budget in 1/255.")] = 8,
    steps: Annotated[int | None, typer.Option(help="Steps of pgd [default: 20].")] = None,
    label: Annotated[
        str | None,
        typer.Option(help="The right class, by name or number [default: what the network sees]."),
    ] = None,
    resize: Resize = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to [default: IMAGE-attacked, or with the next number]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Attack one image: write the adversarial image, the perturbation and a figure as PNG.

    The adversarial image is rounded to the 8 bits of a PNG so that no pixel leaves its budget,
    and what the network sees is said of the PNG. In the picture of the perturbation 128 is no
    change.

    For example:

    python -m partlib attack photo.jpg --resize --model cifar10-at

    python -m partlib attack photo.jpg --resize --model cifar10-at --steps 50 --label dog

    python -m partlib attack seven.png --model natural --attack fgsm --eps 2
    """
    if name == "natural":
        raise ValueError("attack: fgsm, pgd, mma or aa is needed, found 'natural'")
    if steps is not None and name != "pgd":
        raise ValueError(f"steps: {name} takes none, found {steps}")
    if steps is not None and steps < 1:
        raise ValueError(f"steps: 1 or more are needed, found {steps}")
    budget = of_255("eps", eps)
    attacker = evaluation.attack_named(
        f"pgd{20 if steps is None else steps}" if name == "pgd" else name, eps=budget
    )
    net, x, classes = _load(model, image, resize)
    before = _seen(net, x, classes)
    right = before["class"] if label is None else _class("label", label, classes)
    y = torch.tensor([classes.index(right)], device=x.device)
    x_adv = attacker(net, x, y)
    found = _seen(net, x_adv, classes)
    pixels, adversarial = _bytes(x), _rounded(x, x_adv, eps)
    after = _seen(net, data.to_float(adversarial).to(x.device), classes)
    change = adversarial.int() - pixels.int()
    largest = int(change.abs().max())
    k = max(1, 127 // max(1, largest))
    figure = show.draw_attack(
        data.to_float(pixels),
        data.to_float(adversarial),
        alt=f"{image.name}, its perturbation by {name} times {k}, and the adversarial image",
        eps=budget,
        labels=[(_words(before), _words(after))],
        k=k,
    )
    folder = out or free(f"{image.stem}-attacked")
    pictures = {
        "image": _png(pixels),
        "adversarial": _png(adversarial),
        "perturbation": _png((128 + k * change).clamp(0, 255).to(torch.uint8)),
        "figure": figure.png,
    }
    files = write({what: folder / f"{what}.png" for what in pictures}, pictures, image)
    record = {
        "model": model,
        "attack": name,
        "eps": eps,
        "label": right,
        "before": before,
        "after": after,
        "after_without_rounding": found,
        "largest_change": largest,
        "k": k,
        "files": files,
    }
    if as_json:
        print(json.dumps(record))
        return
    print(f"{'before':12} {_words(before)}")
    print(f"{'after':12} {_words(after)}; before the rounding to 8 bits {_words(found)}")
    print(f"{'change':12} {largest}/255 at most, of {eps:g}/255 allowed")
    print(f"{'perturbation':12} shown {k} times, 128 is no change")
    print(f"written to {folder}/: {', '.join(Path(file).name for file in files.values())}")


def cam(
    image: File,
    model: Model = "at",
    name: Annotated[str, typer.Option("--cam", help=f"{', '.join(maps.CAMS)}.")] = "grad_cam",
    target: Annotated[
        str | None,
        typer.Option(help="The class, by name or number [default: what the network sees]."),
    ] = None,
    resize: Resize = False,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write [default: IMAGE-cam.png, or with the next number]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where a network looks: write a figure of the image, its heat and the important pixels.

    For example:

    python -m partlib cam photo.jpg --resize --model cifar10-at

    python -m partlib cam seven.png --model natural --cam layer_cam --target three
    """
    if name not in maps.CAMS:
        raise ValueError(f"cam: one of {', '.join(maps.CAMS)} is needed, found {name!r}")
    net, x, classes = _load(model, image, resize)
    seen = _seen(net, x, classes)
    wanted = seen["class"] if target is None else _class("target", target, classes)
    y = torch.tensor([classes.index(wanted)], device=x.device)
    heat = maps.CAMS[name](net, x, y)
    mask = maps.important(heat)
    share = 100 * mask.float().mean().item()
    figure = show.draw_images(
        [x[0].cpu(), heat[0].cpu(), mask[0].cpu()],
        alt=f"{image.name}, its {name} for {wanted}, and the {share:.0f} % important pixels",
        titles=[_words(seen), f"{name} of {wanted}", f"important: {share:.0f} %"],
        columns=3,
        scale="CAM",
    )
    path = out or free(f"{image.stem}-cam", ".png")
    files = write({"figure": path}, {"figure": figure.png}, image)
    row, column = divmod(int(heat[0].argmax()), heat.shape[2])
    record = {
        "model": model,
        "cam": name,
        "seen": seen,
        "target": wanted,
        "important_percent": round(share, 2),
        "hottest": {"row": row, "column": column},
        "files": files,
    }
    if as_json:
        print(json.dumps(record))
        return
    print(f"{'seen':10} {_words(seen)}")
    print(f"{'heat':10} {name} of {wanted}, hottest at row {row}, column {column}")
    print(f"{'important':10} {share:.0f} % of the pixels")
    print(f"written to {path}")


def _load(model: str, image: Path, resize: bool) -> tuple[nn.Module, Tensor, tuple[str, ...]]:
    """The network, the image (1, 3, H, W) on its device, and the names of the classes."""
    device = runs.best_device()
    net, record = runs.model_named(model)
    side = data.SIDES[record["data"]]
    x = data.to_float(_read(image, side, resize)).to(device)
    return net.to(device), x, data.class_names(record["data"], record["num_classes"])


def _read(path: Path, side: int, resize: bool) -> Tensor:
    """An image file's pixels, uint8 (1, 3, side, side).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no image that can be read as 8 bits of red, green and blue, or one of
            another size.
    """
    if not path.exists():
        raise FileNotFoundError(f"image: {path} is missing")
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"image: a picture is needed, {path} cannot be read ({error})") from error
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"image: 8 bits a channel are needed, {path} has mode {picture.mode}")
    if picture.has_transparency_data and np.array(picture.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError(f"image: a picture without transparency is needed, {path} has some")
    picture = picture.convert("RGB")
    if picture.size != (side, side):
        if not resize:
            width, height = picture.size
            raise ValueError(
                f"image: {side} x {side} pixels are needed, {path} has {width} x {height}; "
                "--resize cuts the middle square out and resizes it"
            )
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


def _rounded(x: Tensor, x_adv: Tensor, eps: float) -> Tensor:
    """The nearest bytes to x_adv that are at most eps / 255 from those of x."""
    most = int(eps + 1e-6)
    change = (255 * (x_adv - x)).round().clamp(-most, most).cpu()
    return (_bytes(x) + change).to(torch.uint8)


def _bytes(x: Tensor) -> Tensor:
    return (255 * x).round().to(torch.uint8).cpu()


def _seen(net: nn.Module, x: Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    """The predicted class, and its probability in percent."""
    share, best = evaluation.predict(net, x)[0].softmax(dim=0).max(dim=0)
    return {"class": classes[int(best)], "percent": round(100 * share.item(), 2)}


def _words(seen: dict[str, Any]) -> str:
    return f"{seen['class']} {seen['percent']:.0f} %"


def _class(name: str, given: str, classes: tuple[str, ...]) -> str:
    """A class by its name or its number."""
    if given in classes:
        return given
    if given.isdecimal() and int(given) < len(classes):
        return classes[int(given)]
    shown = ", ".join(classes if len(classes) <= 20 else (*classes[:20], "..."))
    raise ValueError(f"{name}: one of {shown} is needed, found {given!r}")


def _png(pixels: Tensor) -> bytes:
    """One image, uint8 (1, 3, H, W), as the bytes of a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels[0].permute(1, 2, 0).contiguous().numpy()).save(file, "PNG")
    return file.getvalue()


def of_255(name: str, given: float) -> float:
    """A budget that a reader gave in 1/255.

    Raises:
        ValueError: it is not between 0 and 255.
    """
    if not 0 <= given <= 255:  # NaN fails here too
        raise ValueError(f"{name}: 0 to 255 is needed, in 1/255, found {given:g}")
    return given / 255


def free(stem: str, suffix: str = "") -> Path:
    """A path here that nothing has yet: the name, or the name with the next number."""
    names = (f"{stem}{f'-{i}' * (i > 1)}{suffix}" for i in count(1))
    return next(path for path in map(Path, names) if not path.exists())


def write(
    paths: dict[str, Path], pictures: dict[str, bytes], source: Path | None = None
) -> dict[str, str]:
    """Write pictures by name, and say where they are.

    Raises:
        ValueError: a folder or a device is where a picture should be, or the image that they are
            made from.
    """
    for what, path in paths.items():
        if path.is_dir():
            raise ValueError(f"out: a file is needed for the {what}, {path} is a folder")
        if path.exists() and not path.is_file():
            raise ValueError(f"out: a file is needed for the {what}, {path} is none")
        if source is not None and path.exists() and path.samefile(source):
            raise ValueError(f"out: the {what} would be written over the image, {path}")
    for what, path in paths.items():
        write_bytes(path, pictures[what])
    return {what: str(path) for what, path in paths.items()}
