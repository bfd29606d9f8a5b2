# name: Net
# images: 3x224x224
# parameters: 28*8 + 73*8 + 9*10
# macs: 27*8*49284 + 72*8*48400 + 80
from torch import nn


class Net(nn.Module):
    """Takes the features of its backbone by a hook."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.head = nn.Linear(8, num_classes)
        self.features = {}
        self.backbone[1].register_forward_hook(self._keep('relu'))
        self.backbone[0].register_full_backward_hook(lambda m, gi, go: None)

    def _keep(self, name):
        def hook(module, inputs, output):
            self.features[name] = output.detach()
        return hook

    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3))) + self.features['relu'].mean()
