# name: Net
# images: 3x32x32
# parameters: 28*8 + 90
# macs: 27*8*900 + 80
import torch
from torch import nn


@torch.compile(backend='eager', disable=not torch.cuda.is_available())
def activation(x):
    return x * torch.sigmoid(1.702 * x)


class Net(nn.Module):
    input_size = 32

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(activation(self.conv(x)).mean((2, 3)))
