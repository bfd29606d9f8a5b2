# name: MlpMixer
# images: 3x32x32
# parameters: 192*8+8 + 16+17*24+25*16 + 16+9*16+17*8 + 16+90
# macs: 16*192*8 + 8*2*16*24 + 16*2*8*16 + 80
from functools import partial

import torch.nn as nn


class PreNormResidual(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn, self.norm = fn, nn.LayerNorm(dim)

    def forward(self, x):
        return self.fn(self.norm(x)) + x


def FeedForward(dim, hidden, dense=nn.Linear):
    return nn.Sequential(dense(dim, hidden), nn.GELU(), dense(hidden, dim))


def MlpMixer(image_size=32, patch_size=8, dim=8, num_classes=10):
    chan_first = partial(nn.Conv1d, kernel_size=1)
    n = (image_size // patch_size) ** 2
    return nn.Sequential(
        nn.Conv2d(3, dim, patch_size, patch_size), nn.Flatten(2), Transpose(1, 2),
        PreNormResidual(dim, FeedForward(n, 24, chan_first)),
        PreNormResidual(dim, FeedForward(dim, 16)),
        nn.LayerNorm(dim), Mean(1), nn.Linear(dim, num_classes))


class Transpose(nn.Module):
    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.transpose(*self.dims)


class Mean(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return x.mean(self.dim)
