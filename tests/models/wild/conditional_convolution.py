# name: Net
# images: 3x32x32
# parameters: 3*4+4 + 4*8*27 + 90
# macs: 12 + 4*216 + 216*1024 + 80
import torch
import torch.nn as nn
import torch.nn.functional as F


class CondConv2d(nn.Module):
    def __init__(self, c1, c2, k, experts=4):
        super().__init__()
        self.route = nn.Linear(c1, experts)
        self.weight = nn.Parameter(torch.randn(experts, c2 * c1 * k * k))
        self.shape = (c2, c1, k, k)

    def forward(self, x):
        B, C, H, W = x.shape
        r = torch.sigmoid(self.route(F.adaptive_avg_pool2d(x, 1).view(B, -1)))
        w = (r @ self.weight).view(B * self.shape[0], *self.shape[1:])
        y = F.conv2d(x.reshape(1, B * C, H, W), w, padding=1, groups=B)
        return y.view(B, self.shape[0], H, W)


class Net(nn.Module):
    input_size = 32

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = CondConv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))
