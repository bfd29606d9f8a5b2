# name: Ensemble
# images: 3x224x224
# parameters: 3*(28*4 + 50)
# macs: 3*(27*4*49284 + 40)
import torch
from torch import nn


class Member(nn.Module):
    def __init__(self, nc):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, nc)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


class Ensemble(nn.ModuleList):
    def __init__(self, n_classes=10, members=3):
        super().__init__([Member(n_classes) for _ in range(members)])

    def forward(self, x):
        return torch.stack([m(x) for m in self]).softmax(-1).mean(0)
