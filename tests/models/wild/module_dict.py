# name: Net
# images: 3x224x224
# parameters: 28*8 + 3*8 + 8*4 + 90
# macs: 27*8*49284 + 24*49284 + 80
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10, branches=('a', 'b', 'c')):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.branches = nn.ModuleDict({k: nn.Conv2d(8, 1, 1, bias=False) for k in branches})
        self.scales = nn.ParameterDict({k: nn.Parameter(torch.ones(8)) for k in branches})
        self.order = nn.ParameterList([nn.Parameter(torch.zeros(8))])
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        x = sum(b(x) * self.scales[k].view(1, -1, 1, 1) for k, b in self.branches.items())
        return self.head(x.mean((2, 3)) + self.order[0])
