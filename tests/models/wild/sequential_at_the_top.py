# name: model
# images: 1x28x28
# parameters: 784*32+32 + 33*10
# macs: 784*32 + 320
import torch
from torch import nn

torch.manual_seed(42)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(28 * 28, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
