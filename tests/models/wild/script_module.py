# name: build
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
import torch
from torch import nn


class Net(torch.jit.ScriptModule):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    @torch.jit.script_method
    def forward(self, x):
        return self.fc(self.conv(x).mean([2, 3]))


def build():
    return Net()
