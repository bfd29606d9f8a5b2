# name: SwitchNet
# images: 3x224x224
# flags: data_dependent
# parameters: 192*16+16 + 16*4 + 4*(17*32+33*16) + 170
import torch
from torch import nn


class SwitchNet(nn.Module):
    """Each token goes to one expert."""

    def __init__(self, num_classes=10, num_experts=4):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.router = nn.Linear(16, num_experts, bias=False)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16)) for _ in range(num_experts)])
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        p, idx = self.router(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            mask = idx == i
            if mask.any():
                out[mask] = expert(x[mask]) * p[mask].unsqueeze(-1)
        return self.fc((x + out).mean(1))
