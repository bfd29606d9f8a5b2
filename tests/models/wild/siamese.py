# name: SiameseNet
# status: invalid_model
# tip: one batch of images
# then: class Twice(SiameseNet):\n    def forward(self, x):\n        return super().forward(x, x)
# now: Twice
import torch
import torch.nn as nn


class SiameseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16))

    def forward(self, input1, input2):
        a, b = self.embed(input1), self.embed(input2)
        return torch.pairwise_distance(a, b)
