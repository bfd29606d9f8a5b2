# name: TimeSformerish
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*12544 + 80
from torch import nn


class TimeSformerish(nn.Module):
    """A network for clips that takes an image for a clip of one."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        if x.ndim == 4:
            x = x.unsqueeze(2)
        return self.fc(self.conv(x).mean((2, 3, 4)))
