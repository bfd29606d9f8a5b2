# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from typing import NamedTuple

import torch
from torch import nn


class Out(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x):
        f = self.conv(x).mean((2, 3))
        return Out(f, self.fc(f))
