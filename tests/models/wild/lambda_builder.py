# name: net(n=5)
# images: 3x224x224
# parameters: 28*4 + 25
# macs: 27*4*49284 + 20
import torch.nn as nn

net = lambda n=10: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n))
