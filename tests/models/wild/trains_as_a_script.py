# name: CNN
# images: 1x28x28
# parameters: (25+1)*4 + (100+1)*8 + (8*7*7+1)*10
# macs: 25*4*784 + 100*8*196 + 392*10
import torch
import torch.nn as nn


class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, 4, kernel_size=5, stride=1, padding=2), nn.ReLU(), nn.MaxPool2d(kernel_size=2))
        self.conv2 = nn.Sequential(nn.Conv2d(4, 8, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.out = nn.Linear(8 * 7 * 7, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        x = x.view(x.size(0), -1)
        return self.out(x)


if __name__ == "__main__":
    from torch.utils.tensorboard import SummaryWriter
    writer = SummaryWriter('runs/cnn')
    cnn = CNN().cuda()
    optimizer = torch.optim.Adam(cnn.parameters(), lr=0.001)
    for epoch in range(10):
        raise SystemExit('no data')
