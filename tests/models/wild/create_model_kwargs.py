# name: create_model
# images: 3x224x224
# parameters: 49*3*8+8 + 9*1000
# macs: 147*8*112*112 + 8000
from torch import nn


class _Net(nn.Module):
    def __init__(self, width=8, num_classes=1000, act_layer=nn.SiLU):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, 2, 3)
        self.act = act_layer()
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.act(self.stem(x)).mean((2, 3)))


def create_model(**kw):
    return _Net(**kw)
