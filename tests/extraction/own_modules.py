"""A small convolutional network and images for it."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

Tensor = torch.Tensor


class CNN(torch.nn.Module):
    """Two convolutions with an activation in place, a block of linear maps over the channels, and a head."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(inplace=True))
        self.second = torch.nn.Conv2d(5, 6, 3)
        self.mixed = torch.nn.Linear(6, 7)
        self.head = torch.nn.Linear(7, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = self.second(self.stem(images))
        x = self.mixed(x.permute(0, 2, 3, 1))
        return self.head(x.mean((1, 2)))


def images(n: int = 11, seed: int = 1) -> Tensor:
    return torch.randn((n, 3, 8, 8), generator=torch.Generator().manual_seed(seed))


def loader(n: int = 11, size: int = 4) -> DataLoader:
    return DataLoader(TensorDataset(images(n), torch.arange(n)), batch_size=size)
