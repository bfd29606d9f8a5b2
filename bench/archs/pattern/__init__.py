"""Layer patterns, the grammar of the lectures: text in, a small tree out, and text again. No torch here.

    INPUT -> [[CONV3-64x2 -> RELU]*2 -> POOL]*3 -> [FC-256 -> RELU] -> FC

    A -> B            one behind the other; A - B is read too
    [A -> B]*3        a group, three times; *0 is not at all
    INPUT(32x32x3)    native height, width and channels; INPUT leaves them at 224x224x3
    CONV3-64          window 3, width 64; by default 3, and the width of the CONV before (64 for the first)
    CONV3-64x2        width 64, 128, 256, ... from one repetition of the outermost group to the next
    CONV11-96/4       stride 4; then (p=0, d=2, g=2, bias=no): padding, dilation, groups. By default the padding
                      keeps the size at stride 1 (odd windows), or is none (even ones)
    POOL3/2           max pooling (also MAXPOOL), window 3, stride 2; by default 2, and stride as window; (p=1)
    AVGPOOL SUBSAMPLE average pooling; the same times a trained coefficient a channel, plus a trained bias
    STRIDED3/2        pooling by a convolution of unchanged width
    GAP               global average pooling
    FC-256            fully connected; by default the width of the FC before (512 for the first); (bias=no).
                      The last one gives the classes, 1000 by default; it ends the network
    BN LRN DROP0.5    batch norm, AlexNet's response norm, dropout
    RELU LEAKYRELU TANH SIGMOID GELU ELU SILU HARDSWISH

Words are read in either case.
"""

from bench.archs.pattern._reader import parse
from bench.archs.pattern._tree import KINDS, Group, Layer, Pattern, check, fit_warnings, layer, min_input

__all__ = ["KINDS", "Group", "Layer", "Pattern", "check", "fit_warnings", "layer", "min_input", "parse"]
