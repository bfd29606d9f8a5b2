# name: Net
# images: 3x224x224
# parameters: 192*8+8 + 90
# macs: 784*192*8 + 80
import torch
from torch import nn

try:
    from no_such_rearrange import rearrange
except ModuleNotFoundError:
    def rearrange(x, pattern, **axes):
        b, c, h, w = x.shape
        p = axes['p']
        return x.view(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.embed, self.fc = nn.Linear(192, 8), nn.Linear(8, num_classes)

    def forward(self, x):
        x = rearrange(x, 'b c (h p) (w q) -> b (h w) (p q c)', p=8, q=8)
        return self.fc(self.embed(x).mean(1))
