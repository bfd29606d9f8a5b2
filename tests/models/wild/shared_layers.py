# name: Recurrent
# images: 3x224x224
# parameters: 28*8 + 73*8 + 90
# macs: 27*8*12544 + 4*72*8*12544 + 80
from torch import nn


class Recurrent(nn.Module):
    """One block for all steps; the head's weights are tied to nothing."""

    def __init__(self, steps=4, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.block = nn.Conv2d(8, 8, 3, 1, 1)
        self.blocks = [self.block] * steps
        self.again = self.block
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x).relu()
        return self.fc(x.mean((2, 3)))
