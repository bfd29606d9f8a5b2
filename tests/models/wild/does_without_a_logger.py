# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from torch import nn

try:
    import no_such_logger as logger
    HAS_LOGGER = True
except ImportError:
    logger, HAS_LOGGER = None, False


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
        if HAS_LOGGER:
            logger.watch(self)
