# name: AutoEncoder
# images: 1x28x28
# parameters: (784+1)*16 + 17*4 + 5*16 + 17*784
# macs: 784*16 + 64 + 64 + 16*784
from torch import nn


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(28 * 28, 16), nn.Tanh(), nn.Linear(16, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 28 * 28), nn.Sigmoid())

    def forward(self, x):
        encoded = self.encoder(x.view(-1, 28 * 28))
        decoded = self.decoder(encoded)
        return encoded, decoded
