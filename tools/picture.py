"""Draw the picture of the book that the README and the front page show.

    python -m tools.picture

Each row: a test image, the same image attacked, where the network looks, and the budget that
follows from it. Images, predictions and maps are those of the zoo's networks.
"""

from partlib import attacks, budgets, cam, data, evaluation, show, zoo
from tools.notebooks import ROOT

PICTURE = ROOT / "book" / "_static" / "picture.png"
EPS, EPS_LOW = 8 / 255, 4 / 255
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


if __name__ == "__main__":
    main()
