# name: MLP
# status: invalid_model
# tip: Flatten
# then: class Flat(nn.Sequential):\n    input_size, in_channels = 28, 1\n    def __init__(self):\n        super().__init__(nn.Flatten(), MLP())
# now: Flat
import torch.nn as nn


class MLP(nn.Module):
    """Its training loop flattens the images, and it does not."""

    def __init__(self, input_size=784, hidden_size=50, num_classes=10):
        super().__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())
