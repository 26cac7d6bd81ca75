"""A labelled set of images that lives in memory as bytes and is handed out as floats."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Images, labels and, where they are known, the true masks of the objects.

    Pixels are stored as uint8 (a quarter of the memory of float32) and become floats in [0, 1]
    when they are asked for, so take a slice before you ask for the floats of a large set.

    Attributes:
        name: the set's name, as given to `partlib.data.load`.
        split: "train", "val" or "test" ("extra" of svhn).
        pixels: uint8 (N, 3, H, W).
        labels: int64 (N,), each in [0, len(class_names)).
        class_names: one name a class.
        object_pixels: uint8 (N, H, W), how much of each pixel belongs to the object (255: all of
            it), or None where nobody knows.
        note: what a result from this set must say of it, such as a cut; empty when it is whole.

    Raises:
        ValueError: `pixels`, `labels` or `object_pixels` is not as above.
    """

    name: str
    split: str
    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    object_pixels: Tensor | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse tensors that do not fit together, by name."""
        shape = tuple(self.pixels.shape)
        if self.pixels.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3:
            found = f"{self.pixels.dtype} {shape}"
            raise ValueError(f"pixels: uint8 (N, 3, H, W) is needed, found {found}")
        n, _, height, width = shape
        _check("labels", self.labels, torch.int64, (n,))
        if self.object_pixels is not None:
            _check("object_pixels", self.object_pixels, torch.uint8, (n, height, width))
        if n and self.labels.device.type == "cpu":  # a GPU would be waited for, slice by slice
            low, high = (v.item() for v in self.labels.aminmax())
            classes = len(self.class_names)
            if low < 0 or high >= classes:
                raise ValueError(
                    f"labels: classes in [0, {classes}) are needed, found {low} to {high}"
                )

    @property
    def images(self) -> Tensor:
        """All images, float32 (N, 3, H, W) in [0, 1]."""
        return to_float(self.pixels)

    @property
    def masks(self) -> Tensor | None:
        """The true object masks, float32 (N, H, W) in [0, 1], or None where they are unknown."""
        return None if self.object_pixels is None else to_float(self.object_pixels)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> ImageSet:
        """The subset that a slice, an index tensor or a boolean tensor picks, as an ImageSet.

        Raises:
            TypeError: anything else.
        """
        if not isinstance(index, (slice, Tensor)):
            raise TypeError(f"index: a slice or a tensor is needed, found {index!r}")
        masks = self.object_pixels
        return replace(
            self,
            pixels=self.pixels[index],
            labels=self.labels[index],
            object_pixels=None if masks is None else masks[index],
        )

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set with its tensors on `device`."""
        masks = self.object_pixels
        return replace(
            self,
            pixels=self.pixels.to(device),
            labels=self.labels.to(device),
            object_pixels=None if masks is None else masks.to(device),
        )


def _check(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if tensor.dtype != dtype or tensor.shape != shape:
        kind = str(dtype).removeprefix("torch.")
        found = f"{tensor.dtype} {tuple(tensor.shape)}"
        raise ValueError(f"{name}: {kind} {shape} is needed, found {found}")


def to_float(pixels: Tensor) -> Tensor:
    """Bytes to floats: uint8 0..255 becomes float32 0..1."""
    return pixels.to(torch.float32) / 255


def choose(size: int, n: int | None, seed: int, *, of: str) -> Tensor:
    """Which `n` of `size` images are picked by a seed, as an index; None is all in their order.

    Raises:
        ValueError: `n` is more than there are of the set `of`.
    """
    if n is None:
        return torch.arange(size)
    if n > size:
        raise ValueError(f"n: {of} has {size} images, found {n!r}")
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:n]
