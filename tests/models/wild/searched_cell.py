# name: NetworkCIFAR(C=4, num_classes=10, layers=1, auxiliary=False, genotype=['sep_conv_3x3', 'skip_connect'])
# images: 3x224x224
# parameters: 27*4+8 + 36 + 16 + 8 + 50
# macs: 27*4*50176 + 36*50176 + 16*50176 + 40
from collections import namedtuple

import torch
import torch.nn as nn

Genotype = namedtuple('Genotype', 'normal normal_concat')
OPS = {
    'sep_conv_3x3': lambda C, stride, affine: nn.Sequential(
        nn.ReLU(), nn.Conv2d(C, C, 3, stride, 1, groups=C, bias=False), nn.Conv2d(C, C, 1, bias=False), nn.BatchNorm2d(C, affine=affine)),
    'skip_connect': lambda C, stride, affine: nn.Identity(),
}


class NetworkCIFAR(nn.Module):
    def __init__(self, C, num_classes, layers, auxiliary, genotype):
        super(NetworkCIFAR, self).__init__()
        self._layers = layers
        self._auxiliary = auxiliary
        self.drop_path_prob = 0.
        self.stem = nn.Sequential(nn.Conv2d(3, C, 3, padding=1, bias=False), nn.BatchNorm2d(C))
        self._ops = nn.ModuleList([OPS[name](C, 1, True) for name in genotype])
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(C, num_classes)

    def forward(self, input):
        s = self.stem(input)
        s = sum(op(s) for op in self._ops)
        out = self.global_pooling(s)
        return self.classifier(out.view(out.size(0), -1))
