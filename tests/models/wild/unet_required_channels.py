# name: UNet
# images: 3x224x224
# parameters: 27*4+8 + 36*8+16 + 8*4*4+4 + 72*4+8 + (4+1)*1000
# macs: 27*4*50176 + 36*8*12544 + 8*4*4*12544 + 72*4*50176 + 4*1000*50176
""" Parts of the U-Net model: its channels and classes have no defaults """
import torch
import torch.nn as nn
import torch.nn.functional as F


class SingleConv(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, bilinear=False):
        super(UNet, self).__init__()
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.bilinear = bilinear
        self.inc = SingleConv(n_channels, 4)
        self.down = nn.Sequential(nn.MaxPool2d(2), SingleConv(4, 8))
        self.up = nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2)
        self.conv = SingleConv(8, 4)
        self.outc = nn.Conv2d(4, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.up(self.down(x1))
        diffY = x1.size()[2] - x2.size()[2]
        diffX = x1.size()[3] - x2.size()[3]
        x2 = F.pad(x2, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.outc(self.conv(torch.cat([x1, x2], dim=1)))
