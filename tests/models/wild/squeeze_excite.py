# name: SENet
# images: 3x224x224
# parameters: 28*16 + 16*4*2 + 170
# macs: 27*16*12544 + 128 + 160
from torch import nn


class SELayer(nn.Module):
    def __init__(self, channel, reduction=4):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False), nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)


class SENet(nn.Module):
    def __init__(self, num_class=10):
        super().__init__()
        self.stem, self.se, self.fc = nn.Conv2d(3, 16, 3, 2, 1), SELayer(16), nn.Linear(16, num_class)

    def forward(self, x):
        return self.fc(self.se(self.stem(x)).flatten(2).mean(-1))
