# name: ODENet
# images: 3x224x224
# parameters: 28*6 + 7*9*6+6 + 70
# macs: 27*6*12544 + 5*63*6*12544 + 60
import torch
from torch import nn


class ODEFunc(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim + 1, dim, 3, padding=1)
        self.nfe = 0

    def forward(self, t, x):
        self.nfe += 1
        tt = torch.ones_like(x[:, :1, :, :]) * t
        return torch.tanh(self.conv(torch.cat([tt, x], 1)))


class ODENet(nn.Module):
    def __init__(self, num_classes=10, steps=5):
        super().__init__()
        self.stem, self.f, self.fc, self.steps = nn.Conv2d(3, 6, 3, 2, 1), ODEFunc(6), nn.Linear(6, num_classes), steps

    def forward(self, x):
        x = self.stem(x)
        for t in torch.linspace(0, 1, self.steps):
            x = x + self.f(t, x) / self.steps
        return self.fc(x.mean((2, 3)))
