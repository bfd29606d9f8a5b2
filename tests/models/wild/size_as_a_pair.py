# name: Net
# images: 3x64x64
# classes: 4
# parameters: 48*8+8 + 256*8 + 9*4
# macs: 48*8*256 + 32
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, img_size=(64, 64), in_channels=3, number_of_classes=4):
        super().__init__()
        h, w = img_size
        self.patch = nn.Conv2d(in_channels, 8, 4, 4)
        self.pos = nn.Parameter(torch.zeros(1, 8, h // 4, w // 4))
        self.fc = nn.Linear(8, number_of_classes)

    def forward(self, x):
        return self.fc((self.patch(x) + self.pos).mean((2, 3)))
