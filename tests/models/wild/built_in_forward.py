# name: Net
# images: 3x224x224
# parameters: 28*4 + 4*56*56*6+6
# macs: 27*4*56*56 + 4*56*56*6
import torch.nn as nn


class Net(nn.Module):
    """Its last layer is made when the first image comes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.fc = None

    def forward(self, x):
        x = self.conv(x).flatten(1)
        if self.fc is None:
            self.fc = nn.Linear(x.shape[1], 6).to(x.device)
        return self.fc(x)
