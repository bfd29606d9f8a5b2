# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from typing import Optional

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x, mask: Optional[torch.Tensor] = None, *, return_features: bool = False, **kwargs):
        h = self.conv(x) if mask is None else self.conv(x) * mask
        return h if return_features else self.fc(h.mean((2, 3)))
