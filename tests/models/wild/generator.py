# name: Generator
# status: invalid_model
# tip: wrap it
# then: class Images(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.g = Generator()\n    def forward(self, x):\n        return self.g(x.new_zeros(len(x), 100, 1, 1))
# now: Images
import torch
import torch.nn as nn

nz = 100
ngf = 8


class Generator(nn.Module):
    """A latent vector becomes an image."""

    def __init__(self, nc=3):
        super(Generator, self).__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf), nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, input):
        return self.main(input)


if __name__ == '__main__':
    print(Generator()(torch.randn(4, nz, 1, 1)).shape)
