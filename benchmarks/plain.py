"""Adversarial training as everyone writes it: a DataLoader, float32, `loss.backward()`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from partlib.data import ImageSet
from partlib.training import TrainConfig

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images one at a time, as torchvision's data sets give them."""

    def __init__(self, images: ImageSet, transform: transforms.Compose) -> None:
        self.pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """An image, augmented, and its label."""
        return self.transform(Image.fromarray(self.pixels[i])), self.labels[i]


def loader(images: ImageSet, config: TrainConfig, workers: int) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches, cropped and flipped image by image."""
    side = images.pixels.shape[2]
    transform = transforms.Compose(
        [
            transforms.RandomCrop(side, padding=config.pad),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    return DataLoader(
        Pictures(images, transform),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=workers > 0,
    )


def epoch(
    model: nn.Module, batches: DataLoader[tuple[Tensor, int]], config: TrainConfig
) -> nn.Module:
    """Train for an epoch on PGD examples."""
    device = next(model.parameters()).device
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
    )
    for x, y in batches:
        x, y = x.to(device), y.to(device)
        model.eval()
        x_adv = (x + torch.empty_like(x).uniform_(-EPS, EPS)).clamp(0, 1)
        for _ in range(STEPS):
            x_adv.requires_grad_()
            loss = F.cross_entropy(model(x_adv), y)
            loss.backward()
            x_adv = x_adv.detach() + STEP * x_adv.grad.sign()
            x_adv = torch.min(torch.max(x_adv, x - EPS), x + EPS).clamp(0, 1)
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x_adv), y).backward()
        optimizer.step()
    return model
