# name: net_s
# images: 3x224x224
# parameters: 28*8 + 2*(72+64) + 90
# macs: 27*8*12544 + 2*(9*8+64)*12544 + 80
import torch
from torch import nn


def drop_path(x, drop_prob: float = 0., training: bool = False):
    if drop_prob == 0. or not training:
        return x
    keep = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device) < 1 - drop_prob
    return x.div(1 - drop_prob) * keep


class Block(nn.Module):
    def __init__(self, dim, drop_path_rate=0.):
        super().__init__()
        self.dw = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.pw = nn.Conv2d(dim, dim, 1, bias=False)
        self.rate = drop_path_rate

    def forward(self, x):
        return x + drop_path(self.pw(self.dw(x)), self.rate, self.training)


class Net(nn.Module):
    def __init__(self, depth=2, num_classes=10, drop_path_rate=.2, layer_scale_init_value=1e-6, head_init_scale=1.):
        super().__init__()
        rates = [x.item() for x in torch.linspace(0, drop_path_rate, depth)]
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.blocks = nn.Sequential(*[Block(8, rates[i]) for i in range(depth)])
        self.head = nn.Linear(8, num_classes)
        self.head.weight.data.mul_(head_init_scale)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean([-2, -1]))


def net_s(**kwargs):
    return Net(depth=2, **kwargs)
