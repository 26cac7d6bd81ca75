"""The exercises on class activation maps, budgets that differ, PART and results."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from torch import Tensor

from partlib import attacks, cam
from partlib.check.answers import (
    CLASSES,
    exercise,
    images,
    is_adversarial,
    near,
    need,
    network,
    same,
    stub,
)


@exercise
def points_at(answer: Any) -> None:
    """Whether the hottest pixel lies on the object."""
    source = torch.Generator().manual_seed(0)
    heat = torch.rand(40, 6, 8, generator=source)
    mask = (torch.rand(40, 6, 8, generator=source) > 0.5).float()
    found = answer(heat, mask)
    stub(not found.any())
    need(found.shape == (40,), "one answer for each image")
    place = heat.flatten(1).argmax(dim=1)
    expected = mask.flatten(1)[torch.arange(40), place] > 0.5
    need(same(found, expected), "read the mask where the heat is highest")
    half, most = answer(heat, 0.5 * mask), answer(heat, 0.6 * mask)
    need(not half.any(), "a pixel of which only half is the object's does not count")
    need(same(most, expected), "a pixel counts as soon as more than half of it is the object's")


@exercise
def rather_than(answer: Any) -> None:
    """What each place adds to the difference of two logits."""
    model = network()
    x, _ = images()
    found = answer(model, x, 0, 3)
    stub(not found.any())
    maps = model.features(x).detach()
    row = model.get_submodule("head.linear").get_parameter("weight").detach()
    expected = torch.einsum("k,nkhw->nhw", row[0] - row[3], maps)
    need(found.shape == expected.shape, "one map (h, w) for each image")
    need(not same(found, -expected), "the other way round: for c, against the other")
    need(not same(found, expected.relu()), "do not cut at zero")
    need(same(found, expected), "weigh the maps by the difference of two rows of the weights")


@exercise
def of_random_class(answer: Any) -> None:
    """Maps of other classes than the predicted, drawn at random."""
    x, _ = images(600)
    model = network(4)  # its maps are none empty, and no two of an image alike
    with torch.no_grad():  # each class is predicted for some of the images
        model.get_submodule("head.linear").get_parameter("bias").sub_(model(x).mean(dim=0))
        said = model(x).argmax(dim=1)
    found, again, others = (
        answer(model, x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    stub(same(found, cam.grad_cam(model, x), atol=0))
    maps = [cam.grad_cam(model, x, torch.full((len(x),), c)) for c in range(CLASSES)]
    need(isinstance(found, Tensor) and found.shape == maps[0].shape, "one map for each image")
    hits = torch.stack([(found - m).abs().amax(dim=(1, 2)) < 1e-6 for m in maps])
    need(hits.any(dim=0).all(), "each map must be Grad-CAM's of some class")
    drawn = hits.double().argmax(dim=0)
    need((drawn != said).all(), "some images get the map of their predicted class: leave it out")
    met = torch.eye(CLASSES).bool()
    met[said, drawn] = True
    need(met.all(), "draw a class for each image, from all but the predicted one")
    need(same(again, found) and not same(others, found), "draw them with the generator")


@exercise
def mean_of_quarters(answer: Any) -> None:
    """The mean of three quarters of eps and one of eps_low."""
    found = answer(0.1, 0.2)
    stub(found == 0)
    need(not near(found, 0.15), "three quarters have eps, one has eps_low")
    need(not near(found, 0.125), "it is one quarter that has eps_low")
    need(near(found, 0.175) and near(answer(0.0, 0.4), 0.3), "weigh them by their areas")


@exercise
def checkerboard(answer: Any) -> None:
    """One low pixel in each block of two by two."""
    found = answer((6, 8), eps_low=0.1, eps=0.2)
    stub(not found.any())
    need(found.shape == (6, 8), "the map has the size that was asked for")
    low = (found - 0.1).abs() < 1e-6
    need((low | ((found - 0.2).abs() < 1e-6)).all(), "there are two budgets, eps_low and eps")
    blocks = low.reshape(3, 2, 4, 2).sum(dim=(1, 3))
    need((blocks == 1).all(), "in every block of two by two exactly one pixel is low")


@exercise
def images_needed(answer: Any) -> None:
    """Test images that tell a difference at two standard errors."""
    stub(answer(1.0) == 0)
    need(not near(answer(1.0), 10_000), "two networks, so two variances")
    need(not near(answer(1.0), 5_000), "at two standard errors, not one")
    for points in (1.0, 2.0, 0.5):
        need(
            abs(answer(points) - 20_000 / points**2) <= 1,
            "solve difference = 2 sqrt(2 * 0.25 / n) for n, with the difference as a share",
        )


@exercise
def equal_mean(answer: Any) -> None:
    """The constant budget with a map's mean."""
    budget = torch.tensor([[0.1, 0.1], [0.1, 0.3]])
    found = answer(budget)
    stub(isinstance(found, float) and found == 0)
    need(near(found, 0.15), "the mean over all pixels")


@exercise
def other_masks(answer: Any) -> None:
    """Each image with another image's mask."""
    for n in range(9, 4, -1):  # back to front, only an odd number leaves one where it was
        masks = torch.rand(n, 8, 8, generator=torch.Generator().manual_seed(n)) > 0.5
        found = answer(masks.clone())
        stub(same(found, masks, atol=0))
        need(found.shape == masks.shape, "as many masks as before, of the same size")
        equal = (found[:, None] == masks[None]).all(dim=3).all(dim=2)  # (found, mask)
        need(equal.any(dim=1).all(), "each must be the whole mask of some image")
        need(not equal.diagonal().any(), f"no image may keep its own, as one of {n} does")
        need((equal.sum(dim=0) == 1).all(), "each mask is used once")


@exercise
def pixel_ag_clamp(answer: Any) -> None:
    """Pixel-AG that clamps to the per-pixel budget."""
    model = network()
    x, y = images()
    source = torch.Generator().manual_seed(2)
    m = torch.where(torch.rand(10, 1, 8, 8, generator=source) > 0.5, 1.0, 0.25).double()
    found = answer(model, x.clone(), y, m, 0.06, step_size=0.025, steps=4)
    stub(same(found, x, atol=0))
    is_adversarial(found, x, 0.06)
    need(((found - x).abs() <= m * 0.06 + 1e-7).all(), "a pixel leaves its own budget m eps")

    def expected(update: attacks.Update) -> Tensor:
        return attacks.pgd(
            model, x, y, 0.06 * m, step_size=0.025, steps=4, random_start=False, update=update
        )

    need(not same(found, expected("multiply")), "this multiplies still: clamp instead")
    need(same(found, expected("clamp")), "four steps, each clamped to m eps and [0, 1]")


@exercise
def seeds_needed(answer: Any) -> None:
    """Seeds for an interval of a given half-width."""
    stub(answer(0.5, 0.5) == 0)
    for sd, half_width in ((0.5, 0.5), (1.0, 0.5), (0.7, 0.3)):
        expected = math.ceil((2 * sd / half_width) ** 2)
        need(
            near(answer(sd, half_width), expected),
            "solve half_width = 2 sd / sqrt(n) for n, and round up",
        )


@exercise
def unpaired_sd(answer: Any) -> None:
    """The spread of a difference of means without pairs."""
    ours, theirs = [1.0, 2.0, 4.0], [4.0, 5.0, 9.0]
    found = answer(ours, theirs)
    stub(found == 0)
    a, b = statistics.stdev(ours), statistics.stdev(theirs)
    need(not near(found, a + b), "variances add, standard deviations do not")
    need(not near(found, math.hypot(*map(statistics.pstdev, (ours, theirs)))), "divide by n - 1")
    need(near(found, math.hypot(a, b)), "the root of the sum of the two variances")
