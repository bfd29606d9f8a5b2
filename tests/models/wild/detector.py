# name: Detector
# images: 3x224x224
# parameters: 28*8 + 73*16 + 145*6 + 145*12
# macs: 27*8*12544 + 72*16*3136 + 144*18*3136
import torch
from torch import nn


class Detector(nn.Module):
    """One stage: boxes and scores of each place."""

    def __init__(self, nc=5, anchors=3):
        super().__init__()
        self.nc, self.na = nc, anchors
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(True), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(True))
        self.cls = nn.Conv2d(16, 6, 3, 1, 1)
        self.reg = nn.Conv2d(16, 4 * anchors, 3, 1, 1)
        self.register_buffer('strides', torch.tensor([4.]))

    def forward(self, x, targets=None):
        f = self.backbone(x)
        boxes = self.reg(f).sigmoid() * self.strides
        scores = self.cls(f)
        if self.training and targets is not None:
            return {'loss': scores.mean() + boxes.mean()}
        return {'pred_logits': scores.flatten(2), 'pred_boxes': boxes.flatten(2)}
