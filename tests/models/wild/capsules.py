# name: CapsNet
# images: 1x28x28
# parameters: 82*8 + 648*8+8 + 10*36*4*8
# macs: 81*8*400 + 648*8*36 + 10*36*4*8
import torch
import torch.nn as nn
import torch.nn.functional as F


def squash(s, dim=-1):
    n = (s ** 2).sum(dim=dim, keepdim=True)
    return n / (1 + n) * s / (n.sqrt() + 1e-8)


class CapsNet(nn.Module):
    """Votes of 36 capsules of 8 numbers for 10 classes, summed elementwise."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=9)
        self.primary = nn.Conv2d(8, 8, kernel_size=9, stride=2)
        self.W = nn.Parameter(0.01 * torch.randn(10, 36, 4, 8))

    def forward(self, x):
        x = self.primary(F.relu(self.conv1(x))).flatten(1)
        u = squash(x.view(x.size(0), -1, 8))
        u_hat = torch.einsum('jink,bik->bjin', self.W, u)
        b = torch.zeros(*u_hat.shape[:3], 1, device=x.device)
        for i in range(2):
            c = F.softmax(b, dim=1)
            v = squash((c * u_hat).sum(dim=2, keepdim=True))
            b = b + (u_hat * v).sum(-1, keepdim=True)
        return v.squeeze(2).norm(dim=-1)
