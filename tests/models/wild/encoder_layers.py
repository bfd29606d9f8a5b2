# name: Transformer
# images: 3x64x64
# classes: 10
# parameters: 192*16+16 + 65*16+16 + 48*16+48+272+17*32+33*16+64 + 170
# macs: 64*192*16 + 65*(48*16+256+2*512) + 2*65*65*16 + 160
import torch
import torch.nn as nn


class Transformer(nn.Module):
    def __init__(self, image_size=64, num_classes=10, d_model=16, nhead=4):
        super().__init__()
        self.embed = nn.Conv2d(3, d_model, 8, 8)
        self.cls = nn.Parameter(torch.zeros(1, 1, d_model))
        self.pos = nn.Parameter(torch.zeros(1, 65, d_model))
        layer = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward=32, dropout=0.1, activation='gelu', batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.head = nn.Linear(d_model, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.cls.repeat(x.shape[0], 1, 1), x], dim=1) + self.pos
        return self.head(self.encoder(x)[:, 0])
