# name: Net
# images: 3x224x224
# classes: 10
# parameters: 192*16+16 + 17*3 + 3*(17*32+33*16) + 170
# macs: 784*192*16 + 784*16*3 + 3*2*784*16*32 + 160
import torch
from torch import nn


class Net(nn.Module):
    """All experts see all tokens, weighted by a gate."""

    def __init__(self, num_classes=10, experts=3):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.gate = nn.Linear(16, experts)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(experts))
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        w = self.gate(x).softmax(-1)
        y = sum(w[..., i:i + 1] * e(x) for i, e in enumerate(self.experts))
        return self.fc((x + y).mean(1))
