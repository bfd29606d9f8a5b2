# name: Net
# images: 3x224x224
# parameters: 28*4 + (4*49+1)*20 + 21*10
# macs: 27*4*12544 + 196*20 + 200
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True))
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(4 * 7 * 7, 20), nn.ReLU(inplace=True), nn.Linear(20, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))
