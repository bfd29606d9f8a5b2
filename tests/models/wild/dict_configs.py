# name: build(name='small')
# images: 3x224x224
# parameters: 28*4 + 37*8 + 90
# macs: 27*4*112*112 + 36*8*56*56 + 80
import torch.nn as nn

CONFIGS = {
    'small': dict(widths=(4, 8), strides=(2, 2), head=dict(type='fc', n=10)),
    'large': dict(widths=(8, 16), strides=(2, 2), head=dict(type='fc', n=10)),
}
HEADS = {'fc': nn.Linear}


class Net(nn.Sequential):
    def __init__(self, cfg):
        c, layers = 3, []
        for w, s in zip(cfg['widths'], cfg['strides']):
            layers += [nn.Conv2d(c, w, 3, s, 1), nn.ReLU6(inplace=True)]
            c = w
        head = cfg['head']
        super().__init__(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), HEADS[head['type']](c, head['n']))


def build(name='large'):
    return Net(CONFIGS[name])
