# name: NiN
# images: 3x32x32
# parameters: 76*12 + 13*8 + 9*10
# macs: 75*12*1024 + 96*1024 + 80*1024
import torch.nn as nn


class NiN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.num_classes = num_classes
        self.classifier = nn.Sequential(
            nn.Conv2d(3, 12, kernel_size=5, stride=1, padding=2), nn.ReLU(inplace=True),
            nn.Conv2d(12, 8, kernel_size=1), nn.ReLU(inplace=True),
            nn.Conv2d(8, 10, kernel_size=1), nn.AvgPool2d(kernel_size=32, stride=1, padding=0))

    def forward(self, x):
        x = self.classifier(x)
        x = x.view(x.size(0), self.num_classes)
        return x
