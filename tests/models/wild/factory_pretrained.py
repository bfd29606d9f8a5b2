# name: tinynet(progress=False)
# images: 3x224x224
# parameters: 27*16+32 + 17*1000
# macs: 27*16*112*112 + 16000
from typing import Any, Optional

import torch
from torch import nn, Tensor

__all__ = ['TinyNet', 'tinynet']
model_urls = {'tinynet': 'https://example.org/models/tinynet-5c106cde.pth'}


class TinyNet(nn.Module):
    def __init__(self, num_classes: int = 1000, norm_layer: Optional[Any] = None) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.bn1 = norm_layer(16)
        self.fc = nn.Linear(16, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode='fan_out', nonlinearity='relu')
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


def tinynet(pretrained: bool = False, progress: bool = True, **kwargs: Any) -> TinyNet:
    model = TinyNet(**kwargs)
    if pretrained:
        state_dict = torch.hub.load_state_dict_from_url(model_urls['tinynet'], progress=progress)
        model.load_state_dict(state_dict)
    return model
