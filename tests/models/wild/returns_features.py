# name: Backbone
# images: 3x224x224
# parameters: 28*4 + 37*8
# macs: 27*4*12544 + 36*8*3136
from torch import nn


class Backbone(nn.Module):
    out_channels = 8

    def __init__(self, out_indices=(0, 1), frozen_stages=-1, norm_eval=False, init_cfg=None):
        super().__init__()
        self.out_indices = out_indices
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)])

    def train(self, mode=True):
        super().train(mode)
        self.stages[0].eval()
        return self

    def forward(self, x):
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
