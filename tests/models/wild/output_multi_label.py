# name: MultiTask
# images: 3x224x224
# parameters: 28*8 + 9*(2+7+8)
# macs: 27*8*49284 + 8*17
from torch import nn


class MultiTask(nn.Module):
    """Age, gender, race: a head for each."""

    heads = {'gender': 2, 'age': 7, 'race': 8}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.ModuleDict({k: nn.Linear(8, n) for k, n in self.heads.items()})

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        return {k: f(x) for k, f in self.fc.items()}
