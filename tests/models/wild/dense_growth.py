# name: densenet
# images: 3x224x224
# parameters: 27*8 + 16+8*9*4 + 24+12*9*4 + 17*10
# macs: 27*8*12544 + 72*4*12544 + 108*4*12544 + 160
import torch
import torch.nn as nn


class Layer(nn.Module):
    def __init__(self, c, growth):
        super().__init__()
        self.add_module('norm', nn.BatchNorm2d(c))
        self.add_module('relu', nn.ReLU(inplace=True))
        self.add_module('conv', nn.Conv2d(c, growth, 3, padding=1, bias=False))

    def forward(self, *prev_features):
        return self.conv(self.relu(self.norm(torch.cat(prev_features, 1))))


class DenseNet(nn.Module):
    def __init__(self, growth_rate=4, block_config=(2,), num_init_features=8, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, num_init_features, 3, 2, 1, bias=False)
        c = num_init_features
        self.layers = nn.ModuleList()
        for _ in range(block_config[0]):
            self.layers.append(Layer(c, growth_rate))
            c += growth_rate
        self.classifier = nn.Linear(c, num_classes)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(*features))
        return self.classifier(torch.cat(features, 1).mean((2, 3)))


def densenet(**kwargs):
    return DenseNet(**kwargs)
