# name: quantized_net
# images: 3x32x32
# parameters: 28*8 + 9*16 + 17*10
# macs: 27*8*900 + 128 + 160
import torch
from torch import nn


class FloatNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        return self.fc2(torch.relu(self.fc1(x)))


def quantized_net():
    return torch.ao.quantization.quantize_dynamic(FloatNet().eval(), {nn.Linear}, dtype=torch.qint8)


quantized_net.input_size = 32
