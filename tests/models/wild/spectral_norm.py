# name: Critic
# images: 3x224x224
# parameters: 28*8 + 9
# macs_at_least: 27*8*111*111
from torch import nn
from torch.nn.utils import spectral_norm


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(3, 8, 3, 2))
        self.fc = spectral_norm(nn.Linear(8, 1))

    def forward(self, x):
        return self.fc(self.conv(x).sum((2, 3)))
