# name: VAE
# images: 3x64x64
# parameters: (48+1)*8 + 2*(8*32*32+1)*6 + 7*8192 + 8*3*16+3
# macs: 48*8*1024 + 2*8192*6 + 6*8192 + 8*3*16*1024
import torch
from torch import nn


class VAE(nn.Module):
    def __init__(self, in_channels=3, latent_dim=6, hidden_dims=None):
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Conv2d(in_channels, 8, 4, 2, 1)
        self.fc_mu = nn.Linear(8 * 32 * 32, latent_dim)
        self.fc_var = nn.Linear(8 * 32 * 32, latent_dim)
        self.decoder_input = nn.Linear(latent_dim, 8 * 32 * 32)
        self.decoder = nn.ConvTranspose2d(8, in_channels, 4, 2, 1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return eps * std + mu

    def forward(self, input, **kwargs):
        h = torch.flatten(self.encoder(input), start_dim=1)
        mu, log_var = self.fc_mu(h), self.fc_var(h)
        z = self.reparameterize(mu, log_var)
        return [self.decoder(self.decoder_input(z).view(-1, 8, 32, 32)), input, mu, log_var]
