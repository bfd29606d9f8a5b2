# name: Net
# images: 3x224x224
# parameters: 27*8 + 80
# macs: 27*8*49284 + 80
import torch
import torch.nn as nn
import torch.nn.functional as F


class Ternary(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w):
        return torch.sign(w) * (w.abs() > 0.05).to(w.dtype)

    @staticmethod
    def backward(ctx, g):
        return g


class TernaryConv2d(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, Ternary.apply(self.weight), self.bias, self.stride, self.padding)


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.fc = TernaryConv2d(3, 8, 3, bias=False), nn.Linear(8, num_classes, bias=False)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))
