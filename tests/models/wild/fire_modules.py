# name: SqueezeNet
# images: 3x224x224
# parameters: 28*8 + 9*4 + 5*8+37*8 + 17*1000
# macs: 27*8*111*111 + (8*4+4*8+36*8)*55*55 + 16*1000*55*55
import torch
import torch.nn as nn
import torch.nn.init as init


class Fire(nn.Module):
    def __init__(self, inplanes, squeeze_planes, expand1x1_planes, expand3x3_planes):
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self, num_classes=1000):
        super().__init__()
        final_conv = nn.Conv2d(16, num_classes, kernel_size=1)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 8, 8))
        self.classifier = nn.Sequential(nn.Dropout(), final_conv, nn.ReLU(True), nn.AdaptiveAvgPool2d((1, 1)))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.normal_(m.weight, 0., 0.01) if m is final_conv else init.kaiming_uniform_(m.weight)

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)
