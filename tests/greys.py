"""A model whose robustness is known exactly, and its images."""

import numpy as np
import torch
from torch import Tensor, nn

from partlib.data import ImageSet


class Brightness(nn.Module):
    """Says 1 where the mean of the image is above one half; its robustness is known exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: Tensor) -> Tensor:
        over = self.scale * (x.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-over, over], dim=1)


LEVELS = np.arange(64, 192)  # grey images at every distance from the boundary


def greys() -> ImageSet:
    pixels = torch.from_numpy(LEVELS.astype(np.uint8))[:, None, None, None].expand(-1, 3, 6, 6)
    labels = torch.from_numpy((LEVELS > 127.5).astype(np.int64))
    labels[::8] = 1 - labels[::8]
    return ImageSet("greys", "test", pixels.contiguous(), labels, ("dark", "bright"))
