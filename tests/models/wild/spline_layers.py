# name: KAN
# images: 1x28x28
# parameters: 10*784*4 + 784*10
# macs: 784*10 + 10*784*4
import torch
import torch.nn as nn
import torch.nn.functional as F


class KAN(nn.Module):
    """Each edge is a sum of bumps on a grid."""

    def __init__(self, in_features=784, out_features=10, grid=4):
        super().__init__()
        self.register_buffer('grid', torch.linspace(-1, 1, grid))
        self.base_weight = nn.Parameter(torch.randn(out_features, in_features))
        self.spline_weight = nn.Parameter(torch.randn(out_features, in_features, grid))

    def forward(self, x):
        x = x.flatten(1)
        base = F.linear(F.silu(x), self.base_weight)
        bumps = torch.exp(-(x.unsqueeze(-1) - self.grid) ** 2)
        return base + F.linear(bumps.flatten(1), self.spline_weight.flatten(1))
