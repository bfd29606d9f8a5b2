# name: build_model(arch='small')
# images: 3x224x224
# parameters: 27*8+16 + 9*12
# macs: 27*8*12544 + 96
from pkg.nets.small import SmallNet

MODELS = {'small': SmallNet}


def build_model(arch, **kwargs):
    return MODELS[arch](**kwargs)
