# name: resnet_lite
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from torch import nn


class Net(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        width = kwargs.pop('width', 8)
        classes = kwargs.pop('num_classes', 10)
        if kwargs:
            raise TypeError(f'unknown arguments {sorted(kwargs)}')
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def resnet_lite(*args, **kwargs):
    return Net(*args, **kwargs)
