# name: Inception
# images: 3x299x299
# parameters: 27*4 + (4*149*149+1)*3
# macs: 27*4*149*149 + 4*149*149*3
import torch.nn as nn


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = nn.Conv2d(3, 4, kernel_size=3, stride=2, bias=False)
        self.fc = nn.Linear(4 * 149 * 149, 3)

    def forward(self, x):
        return self.fc(self.Conv2d_1a_3x3(x).flatten(1))
