# name: Net
# images: 3x224x224
# parameters: 27*8 + 80
# macs: 27*8*49284 + 80
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, bias=False), nn.Linear(8, num_classes, bias=False)

    def forward(self, x):
        x = x.sub(0.5).div_(0.25)
        x = self.conv(x)
        x.clamp_(min=0).mul_(2)
        x[:, 0] = 0
        x[..., :2] += 1
        return self.fc(x.mean((2, 3)).add_(1))
