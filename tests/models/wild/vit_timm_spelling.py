# name: VisionTransformer
# images: 3x224x224
# classes: 1000
# parameters: 768*32+32 + 197*32+32 + 4*32 + 32*96+96 + 32*32+32 + 2*32*64+96 + 64 + 33*1000
# macs: 196*768*32 + 197*32*96 + 2*197*197*32 + 197*32*32 + 2*197*32*64 + 32000
import math
from functools import partial

import torch
import torch.nn as nn


def trunc_normal_(tensor, mean=0., std=1.):
    with torch.no_grad():
        tensor.normal_().fmod_(2).mul_(std).add_(mean)
        return tensor


class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU, drop=0.):
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden_features or in_features)
        self.act = act_layer()
        self.fc2 = nn.Linear(hidden_features or in_features, out_features or in_features)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class Attention(nn.Module):
    def __init__(self, dim, num_heads=8, qkv_bias=False):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)) * self.scale
        attn = attn.softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


class VisionTransformer(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, num_classes=1000, embed_dim=32, depth=1, num_heads=4,
                 mlp_ratio=2., qkv_bias=True, drop_path_rate=0.1, norm_layer=partial(nn.LayerNorm, eps=1e-6)):
        super().__init__()
        self.num_classes = num_classes
        self.patch_embed = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2 + 1, embed_dim))
        dpr = [x.item() for x in torch.linspace(0, drop_path_rate, depth)]
        self.dpr = dpr
        self.norm1, self.norm2, self.norm = norm_layer(embed_dim), norm_layer(embed_dim), norm_layer(embed_dim)
        self.attn = Attention(embed_dim, num_heads, qkv_bias)
        self.mlp = Mlp(embed_dim, int(embed_dim * mlp_ratio))
        self.mlp.fc2 = nn.Linear(int(embed_dim * mlp_ratio), embed_dim)
        self.head = nn.Linear(embed_dim, num_classes)
        trunc_normal_(self.pos_embed, std=.02)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.norm(x)[:, 0])
