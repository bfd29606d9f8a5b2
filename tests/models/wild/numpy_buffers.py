# name: Net
# images: 3x224x224
# parameters: 6*10+10
# macs: 6*9*224*224 + 60
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """Sobel's edges of each channel, then a linear layer."""

    def __init__(self, num_classes=10):
        super().__init__()
        gx = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=np.float32)
        kernel = np.stack([gx, gx.T])[:, None]
        self.register_buffer('kernel', torch.from_numpy(np.tile(kernel, (3, 1, 1, 1))))
        self.fc = nn.Linear(6, num_classes)

    def forward(self, x):
        edges = F.conv2d(x, self.kernel, padding=1, groups=3)
        return self.fc(edges.pow(2).mean((2, 3)))
