# name: widenet_b
# images: 3x96x96
# parameters: (48+1)*20 + 21*1000
# macs: 48*20*24*24 + 20000
import torch.nn as nn

_model_entrypoints = {}


def register_model(fn):
    _model_entrypoints[fn.__name__] = fn
    return fn


def _cfg(url='', **kwargs):
    return {'url': url, 'num_classes': 1000, 'input_size': (3, 96, 96), 'crop_pct': 0.9, **kwargs}


class WideNet(nn.Module):
    def __init__(self, img_size=96, in_chans=3, num_classes=1000, width=10):
        super().__init__()
        self.img_size = img_size
        self.default_cfg = _cfg()
        self.patch_embed = nn.Conv2d(in_chans, width, kernel_size=4, stride=4)
        self.head = nn.Linear(width, num_classes) if num_classes > 0 else nn.Identity()

    def forward_features(self, x):
        B, C, H, W = x.shape
        assert H == self.img_size and W == self.img_size, f"Input image size ({H}*{W}) doesn't match model ({self.img_size})."
        return self.patch_embed(x).flatten(2).mean(-1)

    def forward(self, x):
        return self.head(self.forward_features(x))


@register_model
def widenet_b(pretrained=False, img_size=96, **kwargs):
    return WideNet(width=20, img_size=img_size, **kwargs)
