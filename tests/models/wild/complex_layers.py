# name: ComplexNet
# images: 3x32x32
# parameters: 27*4 + 4*10
# macs: 3*27*4*900 + 4*40
import torch
from torch import nn


class ComplexNet(nn.Module):
    """Weights and maps are complex; the answer is their modulus. Torch convolves three times for it."""

    input_size = 32

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False, dtype=torch.complex64)
        self.fc = nn.Linear(4, num_classes, bias=False, dtype=torch.complex64)

    def forward(self, x):
        return self.fc(self.conv(x.to(torch.complex64)).mean((2, 3))).abs()
