# name: LeNet(output_dim=10)
# images: 1x28x28
# parameters: 26*6 + (150+1)*16 + (256+1)*120 + 121*84 + 85*10
# macs: 25*6*24*24 + 150*16*8*8 + 256*120 + 120*84 + 840
import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self, output_dim):
        super().__init__()

        self.conv1 = nn.Conv2d(in_channels=1, out_channels=6, kernel_size=5)
        self.conv2 = nn.Conv2d(in_channels=6, out_channels=16, kernel_size=5)
        self.fc_1 = nn.Linear(16 * 4 * 4, 120)
        self.fc_2 = nn.Linear(120, 84)
        self.fc_3 = nn.Linear(84, output_dim)

    def forward(self, x):
        # x = [batch size, 1, 28, 28]
        x = self.conv1(x)
        x = F.relu(F.max_pool2d(x, kernel_size=2))
        x = self.conv2(x)
        x = F.relu(F.max_pool2d(x, kernel_size=2))
        x = x.view(x.shape[0], -1)
        h = x
        x = F.relu(self.fc_1(x))
        x = F.relu(self.fc_2(x))
        x = self.fc_3(x)
        return x, h
