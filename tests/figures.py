"""One figure of each kind, what it draws and displays, and its pixels."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from partlib import show
from partlib.show import charts, groups, panels, picture, tradeoff

SEEDS = {
    "AT": {"natural": [88.0, 89.0, 90.0], "PGD-20": [58.0, 59.0, 61.0]},
    "paper": {"natural": 82},
}
RUN = [{"epoch": i + 1, "loss": 2.0 / (i + 1), "accuracy": 50.0 + i} for i in range(5)]


def random_images(n: int = 2, side: int = 8) -> torch.Tensor:
    x = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    return (x * 255).round() / 255


X = random_images()
X_ADV = (X + 8 / 255 * torch.sign(0.5 - X)).clamp(0, 1)
FIGURES: dict[str, Callable[..., Any]] = {
    "images": partial(
        show.draw_images, X, titles=["one", "a title so long that it must be wrapped"]
    ),
    "attack": partial(
        show.draw_attack, X, X_ADV, eps=8 / 255, labels=[("one 99 %", "two 50 %")] * 2
    ),
    "overlay": partial(show.draw_overlay, X, X[:, 0], titles=["one", "two"]),
    "curve": partial(
        show.draw_curve, [0, 1, 2], {"AT": np.eye(3), "PART": [1, 2, 3]}, xlabel="eps", ylabel="%"
    ),
    "bars": partial(show.draw_bars, SEEDS),
    "points": partial(show.draw_points, SEEDS),
    "history": partial(show.draw_history, RUN),
    "surface": partial(
        show.draw_surface,
        [-1, 0, 1],
        [-1, 1],
        np.arange(6).reshape(2, 3),
        xlabel="first",
        ylabel="second",
        label="loss",
        paths={"walk": [[0, 0], [0.5, 0.5]], "a second walk": [[0, 1]], "a third": [[0, 1]]},
        box=(0.5, 0.75),
    ),
    "plane": partial(
        show.draw_plane,
        {
            "AT": {"4": ([92.0, 93.0, 94.0], [50.0, 52.0, 53.0]), "8": (90, 60)},
            "PART, low": {"6": (91, 61), "7": (89, 62)},
        },
        {"PART": ([91.0, 93.0], [58.0, 59.0]), "paper": (89, 55)},
        xlabel="natural",
        ylabel="robust",
    ),
}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def holds(png: bytes, panel: np.ndarray) -> bool:
    """Whether (H, W, 3) uint8 is in the picture, framed, each pixel as a block of equal pixels."""
    canvas = pixels(png)
    grey = (canvas == 160).all(-1)
    for zoom in range(100, 1, -1):
        block = panel.repeat(zoom, 0).repeat(zoom, 1)
        h, w = block.shape[:2]
        for y, x in np.argwhere(grey[: -h - 1, : -w - 1] & grey[h + 1 :, w + 1 :]):
            if (canvas[y + 1 : y + 1 + h, x + 1 : x + 1 + w] == block).all():
                return True
    return False


def as_bytes(image: torch.Tensor) -> np.ndarray:
    return (255 * image).round().to(torch.uint8).permute(1, 2, 0).numpy()


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What goes to the notebook: pairs of data and metadata."""
    outputs = []

    def record(data: dict[str, Any], metadata: dict[str, Any], raw: bool) -> None:
        assert raw
        outputs.append((data, metadata))

    monkeypatch.setattr(picture, "display", record)
    return outputs


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The matplotlib figures behind the pictures, laid out."""
    seen: list[Figure] = []

    def spy(figure: Figure, *args: Any) -> Any:
        seen.append(figure)
        return picture.finish(figure, *args)

    monkeypatch.setattr(panels, "finish", spy)
    monkeypatch.setattr(charts, "finish", spy)
    monkeypatch.setattr(groups, "finish", spy)
    monkeypatch.setattr(tradeoff, "finish", spy)
    return seen


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.texts]
