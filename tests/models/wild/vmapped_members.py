# name: Batched
# images: 3x32x32
# parameters: 2*(3072*4)
# macs: 2*3072*4
import torch
from torch import nn
from torch.func import vmap


class Batched(nn.Module):
    input_size = 32
    num_classes = 4

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(2, 4, 3072))

    def forward(self, x):
        x = x.flatten(1)
        return vmap(lambda w: x @ w.t())(self.w).mean(0)
