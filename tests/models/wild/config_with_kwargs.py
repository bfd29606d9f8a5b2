# name: Model
# images: 3x48x48
# parameters: 3*36*10+10 + 11*5
# macs: 108*10*64 + 50
import torch.nn as nn


class Config:
    model_type = 'vit'

    def __init__(self, hidden_size=10, image_size=48, patch_size=6, num_channels=3, num_labels=5, **kwargs):
        self.hidden_size = hidden_size
        self.image_size = image_size
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.num_labels = num_labels
        for key, value in kwargs.items():
            setattr(self, key, value)


class Model(nn.Module):
    config_class = Config

    def __init__(self, config: Config = None):
        super().__init__()
        self.config = config = config or Config()
        self.input_size = config.image_size
        self.patch = nn.Conv2d(config.num_channels, config.hidden_size, config.patch_size, config.patch_size)
        self.head = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, x):
        n, c, h, w = x.shape
        if (h, w) != (self.config.image_size, self.config.image_size):
            raise ValueError(f"Input image size ({h}*{w}) doesn't match model ({self.config.image_size}*{self.config.image_size}).")
        return self.head(self.patch(x).flatten(2).mean(2))
