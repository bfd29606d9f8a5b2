# name: Net
# images: 3x224x224
# parameters: 28*8 + 2*73*8 + 90
# macs: 27*8*50176 + 2*72*8*50176 + 80
import torch
import torch.utils.checkpoint as cp
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10, with_cp=True):
        super().__init__()
        self.with_cp = with_cp
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        if self.with_cp and x.requires_grad:
            x = cp.checkpoint(self.blocks, x, use_reentrant=False)
        else:
            x = cp.checkpoint_sequential(self.blocks, 2, x, use_reentrant=False)
        return self.fc(x.mean((2, 3)))
