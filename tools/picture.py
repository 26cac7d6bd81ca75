"""Draw the picture of the book that the README and the front page show.

    python -m tools.picture

Each row: a test image, the same image attacked, where the network looks, and the budget that
follows from it. Images, predictions and maps are those of the zoo's networks.

From it and from the title the build draws the card that other sites show beside a link to the book,
and the small icon in the browser's tab.
"""

import textwrap
from pathlib import Path

import matplotlib as mpl
import yaml
from PIL import Image, ImageDraw, ImageFont

from partlib import attacks, budgets, cam, data, evaluation, show, zoo
from tools.notebooks import ROOT

PICTURE = ROOT / "book" / "_static" / "picture.png"
EPS, EPS_LOW = 8 / 255, 4 / 255
SUBJECT = "Adversarial examples,\nadversarial training,\nand PART"
LOW, HIGH, SPOT = (68, 1, 84), (33, 145, 140), (253, 231, 37)  # of viridis, as in the figures
ALT = (
    "Two test images with the network's right predictions; the same images after an attack of at "
    "most 8/255 a pixel, with wrong predictions; the class activation maps of a robust network; "
    "and the per-pixel budgets made from them."
)


def main() -> None:
    """Write the picture."""
    test = data.load("scene-digits", "test", n=60)
    natural, robust = zoo.load("natural"), zoo.load("at")
    logits = evaluation.predict(natural, test.images)
    x_adv = attacks.fgsm(natural, test.images, test.labels, EPS)
    fooled = evaluation.predict(natural, x_adv)
    clean = logits.argmax(1) == test.labels
    firm = evaluation.predict(robust, test.images).argmax(1) == test.labels
    chosen = (clean & firm & (fooled.argmax(1) != test.labels)).nonzero()[:2, 0]
    x, heat = test.images[chosen], cam.grad_cam(robust, test.images[chosen])
    budget = budgets.from_mask(cam.important(heat), EPS, EPS_LOW)
    before = show.verdicts(logits[chosen], test.class_names)
    after = show.verdicts(fooled[chosen], test.class_names)
    panels, titles = [], []
    for i in range(len(chosen)):
        panels += [x[i], x_adv[chosen][i], heat[i], budget[i] / EPS]
        titles += [before[i], f"attacked: {after[i]}", "where it looks", "budget per pixel"]
    picture = show.draw_images(panels, columns=4, titles=titles, alt=ALT)
    PICTURE.write_bytes(picture.png)


def draw_card(path: Path) -> None:
    """Write the card, a PNG of 1200 x 630 pixels: title, subject, picture."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    card = Image.new("RGB", (1200, 630), "white")
    draw = ImageDraw.Draw(card)
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"  # matplotlib's own, the same everywhere
    bold = ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", 54)
    plain = ImageFont.truetype(fonts / "DejaVuSans.ttf", 30)
    title = "\n".join(textwrap.wrap(config["title"], width=14))
    draw.multiline_text((60, 130), title, "#111111", font=bold, spacing=16)
    draw.multiline_text((60, 400), SUBJECT, "#444444", font=plain, spacing=12)
    with Image.open(PICTURE) as picture:
        width = 600
        small = picture.convert("RGB").resize((width, width * picture.height // picture.width))
    card.paste(small, (1140 - width, (630 - small.height) // 2))
    card.save(path, optimize=True)


def draw_icon(path: Path) -> None:
    """Write the icon, a PNG of 64 x 64 pixels: a grid of budgets, one quarter of it smaller."""
    icon = Image.new("RGB", (8, 8), HIGH)
    icon.paste(LOW, (0, 0, 4, 4))
    for place in ((5, 2), (2, 5), (6, 6)):
        icon.putpixel(place, SPOT)
    icon.resize((64, 64), Image.Resampling.NEAREST).save(path, optimize=True)


if __name__ == "__main__":
    main()
