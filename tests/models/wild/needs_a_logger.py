# name: Net
# status: invalid_model
# tip: no_such_logger
# not: pip install
import torch
from torch import nn
import no_such_logger as logger

logger.init(project='cifar')


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
