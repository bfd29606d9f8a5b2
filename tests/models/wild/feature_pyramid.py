# name: FPN
# images: 3x224x224
# parameters: 28*4 + 37*8 + 5*4 + 9*4
# macs: 27*4*12544 + 36*8*3136 + 4*4*12544 + 8*4*3136
from collections import OrderedDict

import torch.nn as nn
import torch.nn.functional as F


class FPN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c2 = nn.Conv2d(3, 4, 3, 2, 1)
        self.c3 = nn.Conv2d(4, 8, 3, 2, 1)
        self.l2 = nn.Conv2d(4, 4, 1)
        self.l3 = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        c2 = self.c2(x)
        c3 = self.c3(c2)
        p3 = self.l3(c3)
        p2 = self.l2(c2) + F.interpolate(p3, size=c2.shape[-2:], mode='nearest')
        return OrderedDict(p2=p2, p3=p3)
