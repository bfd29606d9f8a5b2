# name: Net
# images: 3x32x32
# parameters: 64*3*8+8 + 16*8 + 90
# macs: 16*192*8 + 80
import torch
from torch import nn


class Net(nn.Module):
    """Its positions are for 16 patches of 8 px, and only they say so."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 8, 8)
        self.pos = nn.Parameter(torch.zeros(16, 8))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc((self.patch(x).flatten(2).transpose(1, 2) + self.pos).mean(1))
