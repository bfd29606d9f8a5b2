# name: EfficientNetish
# images: 3x224x224
# parameters: 192*8+8 + 3*64 + 90
# macs: 784*192*8 + 3*784*64 + 784*8*8*2 + 80
import torch
import torch.nn as nn


class LinearAttention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(dim, dim, bias=False) for _ in range(3))

    def forward(self, x):
        q, k, v = self.q(x).softmax(-1), self.k(x).softmax(1), self.v(x)
        context = torch.einsum('bnd,bne->bde', k, v)
        return torch.einsum('bnd,bde->bne', q, context)


class EfficientNetish(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.embed, self.att, self.fc = nn.Conv2d(3, 8, 8, 8), LinearAttention(8), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.att(self.embed(x).flatten(2).transpose(1, 2)).mean(1))
