# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
import torch
from torch import nn


@torch.jit.script
def hard_mish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.clamp(x + 2.0, 0.0, 2.0) / 2.0


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(hard_mish(self.conv(x)).mean((2, 3)))
