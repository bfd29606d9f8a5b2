# name: CRNN(img_channel=1, img_height=32, img_width=32, num_class=11)
# images: 1x32x32
# parameters: 10*8 + 2*4*16*(8*16+16+2) + (32+1)*11
# macs: 9*8*1024 + 16*2*4*16*(128+16) + 16*32*11
import torch.nn as nn


class CRNN(nn.Module):
    """Text lines: columns of the image are steps of a recurrent layer."""

    def __init__(self, img_channel, img_height, img_width, num_class, rnn_hidden=16):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(img_channel, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.rnn = nn.LSTM(8 * img_height // 2, rnn_hidden, bidirectional=True)
        self.dense = nn.Linear(2 * rnn_hidden, num_class)

    def forward(self, images):
        conv = self.cnn(images)
        batch, channel, height, width = conv.size()
        conv = conv.view(batch, channel * height, width).permute(2, 0, 1)
        recurrent, _ = self.rnn(conv)
        return self.dense(recurrent)
