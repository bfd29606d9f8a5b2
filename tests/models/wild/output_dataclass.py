# name: Net
# images: 3x224x224
# parameters: 28*8 + 90
# macs: 27*8*49284 + 80
from dataclasses import dataclass
from typing import Optional, Tuple

import torch
from torch import nn


@dataclass
class Output:
    loss: Optional[torch.Tensor] = None
    logits: torch.Tensor = None
    hidden_states: Optional[Tuple[torch.Tensor, ...]] = None


class Net(nn.Module):
    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> Output:
        h = self.conv(x)
        return Output(logits=self.fc(h.mean((2, 3))), hidden_states=(h,))
