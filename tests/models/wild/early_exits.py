# name: BranchyNet
# images: 3x224x224
# flags: data_dependent
# parameters: 28*8 + 90 + 73*8 + 90
import torch
import torch.nn as nn


class BranchyNet(nn.Module):
    def __init__(self, num_classes=10, threshold=0.99):
        super().__init__()
        self.threshold = threshold
        self.stage1, self.exit1 = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, num_classes)
        self.stage2, self.exit2 = nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stage1(x)
        y = self.exit1(x.mean((2, 3)))
        if not self.training and y.softmax(-1).max() > self.threshold:
            return y
        return self.exit2(self.stage2(x).mean((2, 3)))
