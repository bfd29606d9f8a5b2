# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
import torch
from torch import nn
from torch.nn.init import orthogonal_, xavier_uniform_


def _init_weights(m):
    if isinstance(m, nn.Linear):
        xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)
    elif isinstance(m, nn.Conv2d):
        orthogonal_(m.weight)
        u, s, v = torch.linalg.svd(m.weight.flatten(1))
        assert (s > 0).all()


class Net(nn.Module):
    """Looks at the values of its weights while it is built."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)
        self.apply(_init_weights)
        self.norm = float(self.conv.weight.norm())

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))
