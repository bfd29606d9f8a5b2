# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
import abc
from typing import Generic, TypeVar

from torch import nn

T = TypeVar('T')


class BaseModel(nn.Module, abc.ABC):
    @abc.abstractmethod
    def extract(self, x): ...

    def __str__(self):
        return super().__str__() + '\nTrainable parameters: {}'.format(sum(p.numel() for p in self.parameters()))

    def __call__(self, *inputs, **kwargs):
        return super().__call__(*inputs, **kwargs)

    def forward(self, x):
        return self.classify(self.extract(x))


class Net(BaseModel, Generic[T]):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.classify = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def extract(self, x):
        return self.conv(x).mean((2, 3))
