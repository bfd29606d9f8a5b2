# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
import torch
from torch import nn

device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, num_classes)
        self.scale = torch.ones(1, 8).to(device)
        self.to(device)

    def forward(self, x):
        return self.fc(self.conv(x.to(device)).mean((2, 3)) * self.scale)
