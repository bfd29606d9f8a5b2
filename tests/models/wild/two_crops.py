# name: SimCLR
# images: 3x224x224
# parameters: 2*(28*8 + 9*16)
# macs: 2*(27*8*49284 + 128)
import copy

import torch
from torch import nn


class SimCLR(nn.Module):
    """A student and its teacher, whose weights follow."""

    def __init__(self, base_encoder=None, dim=16, m=0.999):
        super().__init__()
        make = base_encoder or (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, dim)))
        self.encoder_q = make()
        self.encoder_k = copy.deepcopy(self.encoder_q)
        for p in self.encoder_k.parameters():
            p.requires_grad = False

    def forward(self, im_q, im_k=None):
        q = nn.functional.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            k = nn.functional.normalize(self.encoder_k(im_q if im_k is None else im_k), dim=1)
        return q, k
