# name: EuroSAT
# images: 13x64x64
# parameters: 13*9*8+8 + (8*31*31+1)*10
# macs: 117*8*62*62 + 8*961*10
from torch import nn


class EuroSAT(nn.Module):
    """Thirteen bands of 64 px."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(13, 8, 3)
        self.fc = nn.Linear(8 * 31 * 31, 10)

    def forward(self, x):
        return self.fc(nn.functional.max_pool2d(self.conv(x), 2).flatten(1))
