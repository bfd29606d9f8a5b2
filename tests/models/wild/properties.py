# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from torch import nn


class Net(nn.Module):
    """What it says of itself are properties, which need an instance."""

    def __init__(self, nb_class=10):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, nb_class)

    @property
    def num_classes(self):
        return self.head.out_features

    @property
    def input_size(self):
        raise RuntimeError('not fitted')

    @property
    def device(self):
        return next(self.parameters()).device

    def forward(self, x):
        return self.head(self.conv(x.to(self.device)).mean((2, 3)))
