# name: backbone
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*222*222 + 80
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, nb_classes):
        super().__init__()
        self.f = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, nb_classes)

    def forward(self, x):
        return self.fc(self.f(x).mean([2, 3]))


def backbone(nb_classes=10, pretrained=True):
    net = Net(nb_classes)
    if pretrained:
        net.load_state_dict(torch.load('/nonexistent/checkpoints/backbone.pth'))
    return net
