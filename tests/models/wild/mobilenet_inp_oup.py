# name: MobileNetV2
# images: 3x64x64
# classes: 10
# parameters: 27*8+16 + 9*8+16 + 8*16+32 + 17*10
# macs: 27*8*1024 + 72*256 + 128*256 + 160
import math

import torch.nn as nn


def conv_bn(inp, oup, stride):
    return nn.Sequential(nn.Conv2d(inp, oup, 3, stride, 1, bias=False), nn.BatchNorm2d(oup), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride):
        super().__init__()
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(
            nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False), nn.BatchNorm2d(inp), nn.ReLU6(inplace=True),
            nn.Conv2d(inp, oup, 1, 1, 0, bias=False), nn.BatchNorm2d(oup))

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, n_class=10, input_size=64, width_mult=1.):
        super().__init__()
        assert input_size % 32 == 0
        self.features = nn.Sequential(conv_bn(3, 8, 2), InvertedResidual(8, 16, 2))
        self.classifier = nn.Linear(16, n_class)
        self._initialize_weights()

    def forward(self, x):
        return self.classifier(self.features(x).mean(3).mean(2))

    def _initialize_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                n = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                m.weight.data.normal_(0, math.sqrt(2. / n))
            elif isinstance(m, nn.Linear):
                m.weight.data.normal_(0, 0.01)
                m.bias.data.zero_()
