# name: ResNet(layers=[1, 2], nclass=10)
# images: 3x224x224
# parameters: 28*4 + 3*(36+1)*4 + 50
# macs: 27*4*50176 + 3*36*4*50176 + 40
import torch.nn as nn


class ResNet(nn.Module):
    def __init__(self, layers, nclass, *args, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        for i, n in enumerate(layers):
            setattr(self, 'layer%d' % (i + 1), nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(n)]))
        self.n = len(layers)
        self.fc = nn.Linear(4, nclass)

    def forward(self, x):
        x = self.conv(x)
        for i in range(self.n):
            x = getattr(self, 'layer%d' % (i + 1))(x).clamp(min=0)
        return self.fc(x.mean((2, 3)))
