# name: net_wide
# images: 3x224x224
# parameters: 28*16 + 170
# macs: 27*16*49284 + 160
from functools import partial

from torch import nn


class Net(nn.Module):
    def __init__(self, width=8, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


net_wide = partial(Net, width=16)
