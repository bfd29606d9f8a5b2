# name: Net
# images: 3x32x32
# parameters: 28*8 + 64 + 90
# flags: uncounted_ops
# macs_at_least: 27*8*900
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, weight_norm


class Net(nn.Module):
    input_size = (32, 32)

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.mix = orthogonal(nn.Linear(8, 8, bias=False))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.mix(self.conv(x).mean((2, 3))))
