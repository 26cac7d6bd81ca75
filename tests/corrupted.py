"""Images that are corrupted, and the published settings."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from partlib.corruptions import SEVERITIES

SETTINGS = """
gaussian_noise .04 .06 .08 .09 .10
shot_noise 500 250 100 75 50
impulse_noise .01 .02 .03 .05 .07
speckle_noise .06 .1 .12 .16 .2
gaussian_blur .4 .6 .7 .8 1
glass_blur .05,1,1 .25,1,1 .4,1,1 .25,1,2 .4,1,2
defocus_blur .3,.4 .4,.5 .5,.6 1,.2 1.5,.1
motion_blur 6,1 6,1.5 6,2 8,2 9,2.5
zoom_blur 1.06 1.11 1.16 1.21 1.26
fog .2,3 .5,3 .75,2.5 1,2 1.5,1.75
frost 1,.2 1,.3 .9,.4 .85,.4 .75,.45
snow .1,.2,1,.6,8,3,.95 .1,.2,1,.5,10,4,.9 .15,.3,1.75,.55,10,4,.9 .25,.3,2.25,.6,12,6,.85 \
.3,.3,1.25,.65,14,12,.8
spatter .62,.1,.7,.7,.5,0 .65,.1,.8,.7,.5,0 .65,.3,1,.69,.5,0 .65,.1,.7,.69,.6,1 .65,.1,.5,.68,.6,1
contrast .75 .5 .4 .3 .15
brightness .05 .1 .15 .2 .3
saturate .3,0 .1,0 1.5,0 2,.1 2.5,.2
jpeg_compression 80 65 58 50 40
pixelate .95 .9 .85 .75 .65
elastic_transform 0,0,.08 .05,.2,.07 .08,.06,.06 .1,.04,.05 .1,.03,.03
"""

WANTED = {
    name: [tuple(float(v) for v in level.split(",")) for level in levels]
    for name, *levels in (line.split() for line in SETTINGS.strip().splitlines())
}


def levels(name: str) -> list[tuple[float, ...]]:
    """Each severity with its parameters."""
    return [(severity, *WANTED[name][severity - 1]) for severity in SEVERITIES]


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """108 crops of two photographs, every third pixel."""
    crops = [
        photo[top : top + 96 : 3, left : left + 96 : 3]
        for photo in load_sample_images().images
        for top in range(0, 331, 66)
        for left in range(0, 544, 64)
    ]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous() / 255


def flat(value: float, n: int = 8) -> Tensor:
    return torch.full((n, 3, 32, 32), value)
