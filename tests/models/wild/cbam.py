# name: Net
# images: 3x224x224
# parameters: 28*8 + 2*16 + 98 + 90
# macs: 27*8*12544 + 2*32 + 98*12544 + 80
import torch
from torch import nn


class CBAM(nn.Module):
    def __init__(self, c, r=4):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(c, c // r, 1, bias=False), nn.ReLU(), nn.Conv2d(c // r, c, 1, bias=False))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        ca = self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True))
        x = x * torch.sigmoid(ca)
        sa = torch.cat([torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)], dim=1)
        return x * torch.sigmoid(self.spatial(sa))


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem, self.cbam, self.fc = nn.Conv2d(3, 8, 3, 2, 1), CBAM(8), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.cbam(self.stem(x)).mean((2, 3)))
