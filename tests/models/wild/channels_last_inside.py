# name: ConvNeXtish
# images: 3x224x224
# parameters: 48*8+8 + 49*8+8 + 16 + 9*32+33*8 + 8 + 90
# macs: 3136*48*8 + 3136*49*8 + 3136*2*256 + 80
import torch
from torch import nn
import torch.nn.functional as F


class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm(dim)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(1e-6 * torch.ones(dim))

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXtish(nn.Module):
    def __init__(self, in_chans=3, num_classes=10, dims=(8,)):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(in_chans, dims[0], 4, 4), Block(dims[0]), nn.Linear(dims[0], num_classes)

    def forward(self, x):
        return self.head(self.block(self.stem(x)).mean([-2, -1]))
