"""A backend: the network as it is, one image after another."""

import torch

from bench.backends import BACKENDS, Backend, Runnable


def prepare(model, images, job):
    return Runnable(lambda: torch.cat([model(image) for image in images.split(1)]))


BACKENDS.add("one_by_one", Backend("one image after another", prepare, lambda job: None))
