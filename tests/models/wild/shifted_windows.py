# name: SwinBlockNet
# images: 3x32x32
# classes: 10
# parameters: 48*8+8 + 2*(8*24+24) + 2*(64+8) + 2*16 + 90
# macs: 64*48*8 + 2*(64*8*24 + 4*2*16*16*8 + 64*64) + 80
import torch
import torch.nn as nn


def window_partition(x, ws):
    B, H, W, C = x.shape
    return x.view(B, H // ws, ws, W // ws, ws, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, ws * ws, C)


def window_reverse(w, ws, H, W):
    B = int(w.shape[0] / (H * W / ws / ws))
    return w.view(B, H // ws, W // ws, ws, ws, -1).permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, -1)


class Block(nn.Module):
    def __init__(self, dim, shift, ws=4):
        super().__init__()
        self.ws, self.shift = ws, shift
        self.norm = nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        B, H, W, C = x.shape
        y = torch.roll(self.norm(x), shifts=(-self.shift, -self.shift), dims=(1, 2)) if self.shift else self.norm(x)
        q, k, v = self.qkv(window_partition(y, self.ws)).chunk(3, -1)
        attn = (q @ k.transpose(-2, -1) * C ** -0.5).softmax(-1)
        y = window_reverse(self.proj(attn @ v), self.ws, H, W)
        return x + (torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2)) if self.shift else y)


class SwinBlockNet(nn.Module):
    def __init__(self, img_size=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.Sequential(Block(8, 0), Block(8, 2))
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x).permute(0, 2, 3, 1)).mean((1, 2)))
