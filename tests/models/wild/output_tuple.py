# name: Net
# images: 3x224x224
# parameters: 28*8 + 2*9*10
# macs: 27*8*49284 + 160
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc, self.aux = nn.Linear(8, num_classes), nn.Linear(8, num_classes)

    def forward(self, x):
        f = self.conv(x).mean((2, 3))
        return self.fc(f), self.aux(f)
