# name: RNN
# images: 1x28x28
# classes: 10
# parameters: 3*(28*32+32*32+64) + 33*10
# macs: 28*3*(28*32+32*32) + 320
import torch
import torch.nn as nn

sequence_length = 28
input_size = 28
hidden_size = 32


class RNN(nn.Module):
    def __init__(self, num_classes=10):
        super(RNN, self).__init__()
        self.gru = nn.GRU(input_size, hidden_size, 1, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        x = x.reshape(-1, sequence_length, input_size)
        h0 = torch.zeros(1, x.size(0), hidden_size, device=x.device)
        out, _ = self.gru(x, h0)
        return self.fc(out[:, -1, :])
