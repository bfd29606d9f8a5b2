# name: Net
# images: 3x224x224
# parameters: 28*8 + 90 + 90
# macs: 27*8*49284 + 80
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, num_classes)
        self.aux = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        if self.training:
            return self.fc(x), self.aux(x)
        return self.fc(x)
