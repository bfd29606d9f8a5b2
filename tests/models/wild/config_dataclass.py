# name: ViT
# images: 3x32x32
# classes: 10
# parameters: (192+1)*16 + 17*16 + 16 + 2*32 + 16*48+48 + 16*16+16 + 2*17*32-32+16 + 32 + 170
# macs: 16*192*16 + 17*16*48 + 2*17*17*16 + 17*16*16 + 2*17*16*32 + 160
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class ViTConfig:
    image_size: int = 32
    patch_size: int = 8
    num_classes: int = 10
    n_head: int = 2
    n_embd: int = 16
    dropout: float = 0.0
    bias: bool = True


class Block(nn.Module):
    def __init__(self, config: ViTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        self.mlp = nn.Sequential(nn.Linear(config.n_embd, 2 * config.n_embd), nn.GELU(), nn.Linear(2 * config.n_embd, config.n_embd))
        self.n_head, self.n_embd = config.n_head, config.n_embd

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(self.ln_1(x)).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    def __init__(self, config: ViTConfig):
        super().__init__()
        self.config = config
        self.patch = nn.Conv2d(3, config.n_embd, config.patch_size, config.patch_size)
        self.cls = nn.Parameter(torch.zeros(1, 1, config.n_embd))
        self.wpe = nn.Embedding((config.image_size // config.patch_size) ** 2 + 1, config.n_embd)
        self.h = nn.ModuleList([Block(config)])
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.num_classes)

    def forward(self, x, targets=None):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        x = x + self.wpe(torch.arange(x.size(1), device=x.device))
        for block in self.h:
            x = block(x)
        return self.head(self.ln_f(x)[:, 0])
