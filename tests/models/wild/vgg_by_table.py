# name: VGG(vgg_name='VGG4')
# images: 3x32x32
# parameters: (27+3)*8 + (72+3)*16 + 16*16*16*10 + 10
# macs: 27*8*1024 + 72*16*256 + 4096*10
import torch.nn as nn

cfg = {
    'VGG4': [8, 'M', 16],
    'VGG5': [8, 'M', 16, 'M', 32],
}


class VGG(nn.Module):
    def __init__(self, vgg_name):
        super().__init__()
        self.features = self._make_layers(cfg[vgg_name])
        self.classifier = nn.Linear(16 * 16 * 16, 10)

    def forward(self, x):
        out = self.features(x)
        out = out.view(out.size(0), -1)
        return self.classifier(out)

    def _make_layers(self, cfg):
        layers = []
        in_channels = 3
        for x in cfg:
            if x == 'M':
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(in_channels, x, kernel_size=3, padding=1), nn.BatchNorm2d(x), nn.ReLU(inplace=True)]
                in_channels = x
        return nn.Sequential(*layers)
