# name: Mamba
# images: 3x32x32
# parameters: 192*8+8 + 9*8 + 8*4 + 8 + 90
# macs_at_least: 16*192*8
import torch
import torch.nn as nn
import torch.nn.functional as F


class Mamba(nn.Module):
    """A selective scan, step by step."""

    def __init__(self, image_size=32, num_classes=10, d=8, n=4):
        super().__init__()
        self.embed = nn.Conv2d(3, d, 8, 8)
        self.dt = nn.Linear(d, d)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1).float()).repeat(d, 1))
        self.D = nn.Parameter(torch.ones(d))
        self.fc = nn.Linear(d, num_classes)

    def forward(self, x):
        u = self.embed(x).flatten(2).transpose(1, 2)
        delta = F.softplus(self.dt(u))
        A = -torch.exp(self.A_log)
        h = u.new_zeros(u.size(0), u.size(2), A.size(1))
        ys = []
        for t in range(u.size(1)):
            h = torch.exp(delta[:, t].unsqueeze(-1) * A) * h + (delta[:, t] * u[:, t]).unsqueeze(-1)
            ys.append(h.sum(-1) + self.D * u[:, t])
        return self.fc(torch.stack(ys, 1).mean(1))
