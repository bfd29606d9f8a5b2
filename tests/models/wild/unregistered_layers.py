# name: Net
# images: 3x224x224
# parameters: 90
# macs: 27*8*12544 + 80
from torch import nn


class Net(nn.Module):
    """Keeps a layer in a plain list, which torch does not look into."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = [nn.Conv2d(3, 8, 3, 2, 1, bias=False)]
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean((2, 3)))
