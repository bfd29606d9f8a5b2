# name: NeuralNet
# images: 1x28x28
# parameters: 785*50 + 51*10
# macs: 784*50 + 500
import torch.nn as nn


class NeuralNet(nn.Module):
    """`input_size` is the length of a vector here, not the side of an image."""

    def __init__(self, input_size=784, hidden_size=50, num_classes=10):
        super(NeuralNet, self).__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        out = self.fc1(x.reshape(-1, 28 * 28))
        out = self.relu(out)
        out = self.fc2(out)
        return out
