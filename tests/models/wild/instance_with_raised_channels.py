# name: net
# images: 3x32x32
# parameters: 27*8 + 72*16 + 170
# macs: 27*8*1024 + 72*16*256 + 160
import torch.nn as nn
import torch.nn.functional as F


class ResNetish(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.in_channels = 8
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.conv2 = self._layer(16)
        self.fc = nn.Linear(self.in_channels, num_classes)
        self.in_channels = 512
        self.num_classes = 3 * num_classes

    def _layer(self, out_channels):
        conv = nn.Conv2d(self.in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.in_channels = out_channels
        return conv

    def forward(self, x):
        x = F.avg_pool2d(self.conv2(self.conv1(x)), 16)
        return self.fc(x.view(x.size(0), -1))


net = ResNetish()
