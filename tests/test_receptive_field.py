"""Receptive fields against gradients, against explicit positions, and against published sizes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from gradients import claims, compare, difference, equal_weights, outputs_of, weightless
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from bench.archs.naming import resolve
from bench.costs.receptive_field._axis import _LocalAxis, window
from bench.costs.receptive_field._tracker import FieldTracker, ReceptiveField

pytestmark = pytest.mark.usefixtures("undrawn")


class Watch(TorchDispatchMode):
    """Tells `fields` of every operator."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.fields = FieldTracker(images)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        self.fields.note(func, args, kwargs, outputs)
        for output in tree_iter(outputs):
            check_sizes(self.fields, output)
        return outputs


def check_sizes(fields: FieldTracker, tensor: Tensor) -> None:
    """Check that the factors of each dimension, where they are known, make its size."""
    layout = fields._layouts.get(id(tensor))
    if layout is not None and layout.dims is not None:
        assert [math.prod(f.size for f in dim) for dim in layout.dims] == list(tensor.shape)


def watched(model: nn.Module, rows: int, columns: int, layer: str = "") -> tuple[FieldTracker, Tensor]:
    """Return the fields of a network for one image, and the map that a layer gives."""
    if not all(parameter.is_meta for parameter in model.parameters()):
        model = copy.deepcopy(model).to("meta")
    model.eval()
    images = torch.empty(1, 3, rows, columns, device="meta")
    with torch.no_grad(), Watch(images) as watch:
        found = run_to(model, layer, images)
    return watch.fields, found


def field_of(model: nn.Module, layer: str = "", side: int = 224) -> ReceptiveField:
    fields, found = watched(model, side, side, layer)
    field = fields.of(found)
    assert field is not None
    return field


def network(name: str) -> nn.Module:
    with torch.device("meta"):
        return resolve(name).build(num_classes=10, in_channels=3, input_size=224)


class ReachedError(Exception):
    """Raised behind the layer that is asked for."""


def run_to(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """Return the map that a layer gives; what follows does not run."""
    maps: list[Tensor] = []

    def stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
        maps.append(output)
        raise ReachedError

    hook = model.get_submodule(layer).register_forward_hook(stop)
    with pytest.raises(ReachedError):
        model(images)
    hook.remove()
    return maps[0]


class Applied(nn.Module):
    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleDict(layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images, **dict(self.layers.items()))


# By gradients: equal weights, nothing that can cancel, and what the central unit's gradient reaches.


def reached(model: nn.Module, rows: int, columns: int, layer: str) -> list[tuple[int, tuple[int, int]]]:
    """Return for rows and columns the index of the central unit, and the first and last pixel it depends on."""
    images = torch.ones(1, 3, rows, columns, dtype=torch.double, requires_grad=True)
    with equal_weights():
        found = run_to(model, layer, images)
    center = [n // 2 for n in found.shape[2:]]
    (gradient,) = torch.autograd.grad(found[0, :, center[0], center[1]].sum(), images)
    spans = []
    for unit, other in zip(center, (1, 0), strict=True):
        pixels = gradient[0].abs().sum(0).sum(other).nonzero().flatten()
        spans.append((unit, (int(pixels[0]), int(pixels[-1]))))
    return spans


def axis_of(fields: FieldTracker, tensor: Tensor, axis: int) -> _LocalAxis:
    local = fields._layouts[id(tensor)].axes[axis]
    assert isinstance(local, _LocalAxis)
    return local


NARROW = 72  # of the other axis: all rows are seen through any column


def check_gradients(model: nn.Module, layer: str = "", side: int = 0) -> ReceptiveField:
    """Compare what the central unit sees with its gradient, rows and columns apart, and return the field."""
    field = field_of(model, layer, side or 224)
    plain = weightless(copy.deepcopy(model).eval())
    for axis in (0, 1):
        size, stride = field.size[axis], field.stride[axis]
        assert size is not None
        assert stride is not None
        tall = side or max(NARROW, math.ceil(size + 4 * stride))
        tall = -(-tall // 32) * 32
        shape = (tall, side or NARROW) if axis == 0 else (side or NARROW, tall)
        unit, pixels = reached(plain, *shape, layer)[axis]
        fields, found = watched(model, *shape, layer)
        local = axis_of(fields, found, axis)
        assert pixels[0] > 0  # the field fits in: nothing is cut off
        assert pixels[1] < shape[axis] - 1
        assert local.span([unit]) == pixels
        assert local.size == size
    return field


@pytest.mark.parametrize(
    ("name", "layer", "size", "stride"),
    [
        # Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks"
        ("alexnet", "maxpool5", 195, 32),
        ("torchvision:alexnet", "features", 195, 32),
        ("vgg16", "features", 212, 32),
        ("resnet50_v1", "layer4", 483, 32),
        # v1.5: each of the three strides in a bottleneck's 3x3 costs 2 * (old - new stride), 8 + 16 + 32 in all
        ("torchvision:resnet50", "layer4", 483 - 56, 32),
        ("torchvision:resnet18", "layer4", 435, 32),
        ("torchvision:mobilenet_v2", "features", 491, 32),
        ("torchvision:shufflenet_v2_x0_5", "conv5", 527, 32),
        ("torchvision:squeezenet1_1", "features", 207, 16),
        ("torchvision:googlenet", "inception5b", 379, 32),
        ("torchvision:mnasnet0_5", "layers", 843, 32),
    ],
)
def test_fields_of_networks_as_published(name: str, layer: str, size: int, stride: int) -> None:
    field = field_of(network(name), layer, 224)
    assert (field.size, field.stride) == ((size, size), (stride, stride))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("alexnet", "maxpool5"),
        ("vgg16", "features"),
        ("torchvision:resnet50", "layer4"),
        ("torchvision:resnet18", "layer4"),
        ("torchvision:squeezenet1_1", "features"),
        ("torchvision:googlenet", "inception4e"),
        ("torchvision:inception_v3", "Mixed_6b"),
        ("torchvision:convnext_tiny", "features.3"),
        ("resnet20", "stage3"),
        ("torchvision:densenet121", "features.denseblock2"),
    ],
)
def test_networks_by_gradients(name: str, layer: str) -> None:
    check_gradients(network(name), layer)  # benchmarks/fields.py does so for all of torchvision


def _sliced(x: Tensor, conv: nn.Module) -> Tensor:
    """Space to depth by strided slices, a crop, and a joint of two crops."""
    deep = torch.cat([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
    y = conv(deep)
    return y[:, :, 2:-1, 1:-2] + y[:, :, 1:-2, :-3]


def _unet(x: Tensor, down: nn.Module, deep: nn.Module, up: nn.Module, last: nn.Module) -> Tensor:
    low = down(x)
    upper = up(deep(low))
    smooth = F.interpolate(low, scale_factor=2, mode="bilinear")
    return last(torch.cat([upper, smooth, F.interpolate(low, scale_factor=2.0), x], 1))


def _nhwc(x: Tensor, depth: nn.Module, wide: nn.Module, patch: nn.Module) -> Tensor:
    y = depth(x).permute(0, 2, 3, 1)
    y = wide(F.layer_norm(y, (y.shape[-1],))).permute(0, 3, 1, 2)
    return patch(y).flatten(2).transpose(1, 2).unflatten(1, (y.shape[2] // 4, -1)).permute(0, 3, 1, 2)


def _merged_patches(x: Tensor, conv: nn.Module, reduce: nn.Module) -> Tensor:
    y = conv(x).permute(0, 2, 3, 1)
    b, h, w, c = y.shape
    y = y.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
    return reduce(y).permute(0, 3, 1, 2)


def _partial(x: Tensor, conv: nn.Module, last: nn.Module) -> Tensor:
    """Write to a part of the channels, and to a fresh tensor piece by piece."""
    y = x.repeat(1, 2, 1, 1)
    y[:, :3] = conv(y[:, :3].clone())
    z = torch.zeros_like(y)
    z[:, 3:] = y[:, :3]
    z[:, :3].copy_(x)
    return last(z)


def conv(inputs: int, outputs: int, kernel: Any, **arguments: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **arguments)


def _framed(x: Tensor, wide: nn.Module, last: nn.Module) -> Tensor:
    """Write to all but the border, and then to the border, of rows and columns in another order."""
    y = torch.zeros_like(x).permute(0, 2, 3, 1)
    y[:, 2:-2, 2:-2] = wide(x)[:, :, 2:-2, 2:-2].permute(0, 2, 3, 1)
    y[:, :1] = x[:, :, :1].permute(0, 2, 3, 1)
    y[:, :, -1] = x[..., 5].permute(0, 2, 1)
    return last(y.permute(0, 3, 1, 2))


def _interleaved(x: Tensor, one: nn.Module, other: nn.Module, last: nn.Module) -> Tensor:
    """Write two maps to every other row and column of a larger one, which is twice as dense."""
    y = x.new_zeros(x.shape[0], 4, 2 * x.shape[2], 2 * x.shape[3])
    y[:, :, ::2, ::2] = one(x)
    y[:, :, 1::2, ::2] = other(x)
    y[:, :, :, 1::2] = y[:, :, :, ::2]
    return last(y)


def _overwritten(x: Tensor, wide: nn.Module, last: nn.Module) -> Tensor:
    """Write a map to every other row of one that sees more."""
    y = wide(x)
    y[:, :, ::2] = x[:, :, ::2]
    return last(y)


def _row_by_row(x: Tensor, last: nn.Module) -> Tensor:
    """Take rows apart and put them together, by stacking and by writing."""
    y = torch.stack([x[:, :, i] * 2 for i in range(x.shape[2])], 2)
    z = torch.empty_like(y)
    for i in range(x.shape[2]):
        z[:, :, i] = y[:, :, i]
    return last(z)


def _indexed(x: Tensor, last: nn.Module) -> Tensor:
    """Take rows backwards, every other column, some channels, and each row twice."""
    y = x[:, :, torch.arange(x.shape[2] - 1, -1, -1)].index_select(3, torch.arange(1, x.shape[3], 2))
    y = y[:, torch.tensor([2, 0, 1])].repeat_interleave(2, 2)
    return last(y.gather(1, torch.zeros(y.shape, dtype=torch.long, device=y.device)))


def windows(x: Tensor, side: int) -> Tensor:
    """Part a map [B, H, W, C] into windows [B * n, side * side, C]."""
    b, h, w, c = x.shape
    parted = x.view(b, h // side, side, w // side, side, c).permute(0, 1, 3, 2, 4, 5)
    return parted.reshape(-1, side * side, c)


def whole(x: Tensor, side: int, h: int, w: int) -> Tensor:
    """Put windows together again."""
    parted = x.view(-1, h // side, w // side, side, side, x.shape[-1])
    return parted.permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, x.shape[-1])


def attend(x: Tensor, side: int, shift: int) -> Tensor:
    """Attend within windows that are moved by a roll; what comes round is masked."""
    h, w = x.shape[1:3]
    mask = torch.zeros(h, w, device=x.device)
    for cut in (slice(0, -side), slice(-side, -shift or None), slice(-shift, None) if shift else slice(0, 0)):
        mask[cut] += 1 + 3 * (cut.start or 0)
        mask[:, cut] += 10 * (1 + 3 * (cut.start or 0))
    hidden = windows(mask[None, :, :, None], side)
    hidden = (hidden != hidden.transpose(1, 2)) * -100.0
    parted = windows(x.roll((-shift, -shift), (1, 2)), side)
    scores = parted @ parted.transpose(1, 2) + hidden.to(parted.dtype)
    return whole(F.softmax(scores, -1) @ parted, side, h, w).roll((shift, shift), (1, 2))


def _swin(x: Tensor, patch: nn.Module, reduce: nn.Module) -> Tensor:
    """Attend within windows of 4 patches twice, the second time moved by 2, then merge two by two patches."""
    y = patch(x).permute(0, 2, 3, 1)
    y = y + attend(y, 4, 0)
    y = y + attend(y, 4, 2)
    y = torch.cat([y[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1)
    return reduce(y).permute(0, 3, 1, 2)


def _within(x: Tensor, wide: nn.Module, last: nn.Module) -> Tensor:
    """Attend twice within windows of 8, in two heads, with shortcuts, before they are put together again."""
    y = wide(x).permute(0, 2, 3, 1)
    h, w, c = y.shape[1:]
    y = windows(y, 8)
    for _ in range(2):
        heads = y.unflatten(-1, (2, c // 2)).transpose(1, 2).flatten(0, 1)
        seen = F.softmax(torch.bmm(heads, heads.mT), -1) @ heads
        y = y + seen.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2)
    return last(whole(y, 8, h, w).permute(0, 3, 1, 2))


def _axial(x: Tensor, wide: nn.Module, last: nn.Module) -> Tensor:
    """Attend along the rows within groups of 8, as in windows that are one column wide."""
    y = wide(x).permute(0, 3, 2, 1)
    b, w, h, c = y.shape
    y = y.reshape(b * w * h // 8, 8, c)
    y = F.scaled_dot_product_attention(y, y, y)
    return last(y.reshape(b, w, h, c).permute(0, 3, 2, 1))


TOYS: dict[str, tuple[nn.Module, Any]] = {
    "plain": (nn.Sequential(conv(3, 4, 3), conv(4, 4, 5, stride=2), conv(4, 4, 3, stride=3, padding=1)), 11),
    "dilated": (nn.Sequential(conv(3, 4, 3, dilation=3, padding=3), conv(4, 4, 3, dilation=2)), 1 + 6 + 4),
    "padded": (nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), conv(3, 4, 3, stride=2), conv(4, 4, 2)), 3 + 2),
    "reflected": (nn.Sequential(nn.ReflectionPad2d(2), nn.ReplicationPad2d((0, 3, 1, 0)), conv(3, 4, 4)), 4),
    "oblong": (nn.Sequential(conv(3, 4, (1, 7), padding=(0, 3)), conv(4, 4, (3, 2), stride=(1, 2))), (3, 8)),
    "grouped": (nn.Sequential(conv(3, 6, 3, groups=3), nn.ChannelShuffle(3), conv(6, 6, 3, groups=6)), 5),
    "pooled": (nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 3), conv(3, 4, 2)), 11),
    "adaptive": (nn.Sequential(conv(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(8), conv(4, 4, 2)), None),
    "transposed": (nn.Sequential(conv(3, 4, 3), nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False)), 4),
    "transposed wide": (
        nn.Sequential(
            conv(3, 4, 3, stride=2), nn.ConvTranspose2d(4, 4, 5, 3, 2, 1, bias=False), conv(4, 4, 4)
        ),
        None,
    ),
    "nearest": (nn.Sequential(conv(3, 4, 3), nn.Upsample(scale_factor=3), conv(4, 4, 3, stride=2)), 4),
    "bilinear": (nn.Sequential(conv(3, 4, 3), nn.UpsamplingBilinear2d(scale_factor=2), conv(4, 4, 3)), None),
    "shuffled": (
        nn.Sequential(conv(3, 4, 3), nn.PixelShuffle(2), conv(1, 4, 3), conv(4, 4, 3, stride=2)),
        None,
    ),
    "unshuffled": (
        nn.Sequential(conv(3, 4, 3, padding=1), nn.PixelUnshuffle(4), conv(64, 4, 3, groups=4)),
        2 + 12,
    ),
    "there and back": (
        nn.Sequential(conv(3, 4, 3, padding=1), nn.PixelUnshuffle(2), nn.PixelShuffle(2), conv(4, 4, 3)),
        5,
    ),
    "sliced": (Applied(_sliced, conv=conv(12, 4, 3)), 2 * 3 + 2),
    "unet": (
        Applied(
            _unet,
            down=conv(3, 4, 3, stride=2, padding=1),
            deep=conv(4, 4, 3, padding=1),
            up=nn.ConvTranspose2d(4, 4, 2, 2, bias=False),
            last=conv(15, 4, 3, padding=1),
        ),
        9,
    ),
    "nhwc": (
        Applied(
            _nhwc,
            depth=conv(3, 3, 7, padding=3, groups=3),
            wide=nn.Linear(3, 8),
            patch=conv(8, 4, 4, stride=4),
        ),
        7 + 3,
    ),
    "merged patches": (Applied(_merged_patches, conv=conv(3, 4, 3, padding=1), reduce=nn.Linear(16, 8)), 4),
    "partial": (Applied(_partial, conv=conv(3, 3, 5, padding=2), last=conv(6, 4, 3)), 7),
    "flipped": (Applied(lambda x, c: c(x.flip(3).roll(3, 2)), c=conv(3, 4, (2, 5), stride=2)), (2, 5)),
    "circular": (
        nn.Sequential(
            conv(3, 4, 5, padding=2, padding_mode="circular"),
            nn.CircularPad2d((3, 1, 0, 2)),
            conv(4, 4, 3, stride=2),
        ),
        7,
    ),
    "other paddings": (
        nn.Sequential(
            *(conv(3, 3, 3, padding=1, padding_mode=m) for m in ("reflect", "replicate", "circular"))
        ),
        7,
    ),
    "round by hand": (
        Applied(lambda x, c: c(torch.cat([x[..., -2:], x, x[..., :2]], 3).roll(-1, 3)), c=conv(3, 4, 3)),
        3,
    ),
    "rolled by hand": (Applied(lambda x, c: c(torch.cat([x[:, :, 5:], x[:, :, :5]], 2)), c=conv(3, 4, 3)), 3),
    "rolled the long way": (Applied(lambda x, c: c(x.roll((91, -95), (2, 3)) + x), c=conv(3, 4, 3)), (8, 4)),
    "framed": (Applied(_framed, wide=conv(3, 3, 5, padding=2), last=conv(3, 4, 3)), 7),
    "interleaved": (
        Applied(
            _interleaved, one=conv(3, 4, 1), other=conv(3, 4, (5, 1), padding=(2, 0)), last=conv(4, 4, 2)
        ),
        (5, 2),
    ),
    "overwritten": (
        Applied(_overwritten, wide=conv(3, 3, 7, padding=3), last=conv(3, 4, (2, 1), stride=(2, 1))),
        None,
    ),
    "row by row": (Applied(_row_by_row, last=conv(3, 4, 3)), 3),
    "indexed": (Applied(_indexed, last=conv(3, 4, 3)), (2, 5)),
    "windows": (Applied(_swin, patch=conv(3, 4, 3, stride=3), reduce=nn.Linear(16, 4)), 2 * 4 * 3),
    "shortcuts within windows": (
        Applied(_within, wide=conv(3, 4, 3, padding=1), last=conv(4, 4, 2)),
        2 * 8 + 2,
    ),
    "windows of one column": (
        Applied(_axial, wide=conv(3, 4, 3, padding=1), last=conv(4, 4, 2)),
        (2 * 8 + 2, 4),
    ),
    "sparse": (nn.Sequential(conv(3, 4, 3), nn.ConvTranspose2d(4, 4, 2, 3, bias=False), conv(4, 4, 3)), None),
    "unfolded": (Applied(lambda x, c: c(x.unfold(2, 4, 2).flatten(1, 1).sum(-1)), c=conv(3, 4, 3)), (8, 3)),
}


def test_swin_sees_two_windows_behind_its_second_block() -> None:
    """Windows are of 7 patches of 4 px; the second block's are moved by 3 patches, so that each lies across two."""
    model = network("torchvision:swin_t")
    assert field_of(model, "features.1.0").size == (7 * 4, 7 * 4)
    assert field_of(model, "features.1.1").size == (2 * 7 * 4, 2 * 7 * 4)


_KINDS = [
    *("torchvision:efficientnet_b0", "torchvision:mnasnet0_5", "torchvision:swin_t", "torchvision:maxvit_t"),
    *("torchvision:vit_b_32", "torchvision:googlenet", "torchvision:regnet_y_400mf", "torchvision:vgg11"),
    *("torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1"),
    *("googlenet", "alexnet_2tower", "resnet20", "speedrun_cifar"),
]


@pytest.mark.parametrize("name", _KINDS)
def test_layers_of_networks_by_gradients(name: str) -> None:
    """All torchvision's, and families of timm's, are in tests/benchmarks/fields.py."""
    found = compare(resolve(name), local=4)
    assert found.compared > 1
    assert not found.differences


def test_a_wrong_claim_is_contradicted_by_gradients() -> None:
    model = nn.Sequential(conv(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    shape = (1, 3, 32, 32)
    (local, whole, _), images = (
        claims(model, shape),
        torch.ones(1, 3, 32, 32, dtype=torch.double, requires_grad=True),
    )
    assert local is not None
    assert whole is not None
    outputs = outputs_of(weightless(model), images, {0, 1})
    assert not difference(local, outputs[0], images)
    assert not difference(whole, outputs[1], images)
    larger = local._replace(layout=local.layout.sampled(1, window(2)))
    assert difference(larger, outputs[0], images) == "rows: (15, 18) claimed, (15, 17) reached"
    assert "global claimed" in difference(local._replace(layout=whole.layout), outputs[0], images)


@pytest.mark.parametrize("name", TOYS)
def test_toys_by_gradients(name: str) -> None:
    model, size = TOYS[name]
    field = check_gradients(model, side=96)
    if size is not None:
        assert field.size == ((size, size) if isinstance(size, int) else size)


def test_strides_and_paddings() -> None:
    model = nn.Sequential(
        nn.ZeroPad2d((1, 2, 0, 1)), conv(3, 4, (3, 5), stride=2), nn.Upsample(scale_factor=4)
    )
    field = field_of(model)
    assert field == ReceptiveField((3, 5), (Fraction(1, 2), Fraction(1, 2)), (0, 1), "local", "")


def test_space_to_depth_counts_by_its_map() -> None:
    assert field_of(nn.PixelUnshuffle(4)) == ReceptiveField((4, 4), (4, 4), (0, 0), "local", "")
    halves = Applied(lambda x: torch.cat([F.pixel_unshuffle(x, 2), F.avg_pool2d(x, 2)], 1))
    assert field_of(halves) == ReceptiveField((2, 2), (2, 2), (0, 0), "local", "")


def test_tokens_and_windows_keep_their_stride() -> None:
    patches = conv(3, 4, 16, stride=16)
    tokens = Applied(lambda x, p: torch.cat([x.new_zeros(1, 1, 4), p(x).flatten(2).mT], 1), p=patches)
    assert field_of(tokens) == ReceptiveField((16, 16), (16, 16), (0, 0), "local", "")
    parted = Applied(lambda x, p: p(x).unflatten(3, (2, 7)).unflatten(2, (2, 7)).transpose(3, 4), p=patches)
    assert field_of(parted) == ReceptiveField((16, 16), (16, 16), (0, 0), "local", "")
    heads = Applied(
        lambda x, p: windows(p(x).permute(0, 2, 3, 1), 7).unflatten(2, (2, 2)).transpose(1, 2).flatten(0, 1),
        p=patches,
    )
    assert field_of(heads) == ReceptiveField((16, 16), (16, 16), (0, 0), "local", "")


# By explicit positions, on random stacks

LAYER = st.tuples(
    st.sampled_from(["conv", "max", "avg", "up", "transposed"]),
    st.integers(1, 4),  # kernel
    st.integers(1, 3),  # stride
    st.integers(0, 3),  # padding
    st.integers(1, 3),  # dilation
)


def _build(kind: str, k: int, s: int, p: int, d: int) -> nn.Module:
    if kind == "conv":
        return nn.Conv2d(3, 3, (k, 1), (s, 1), (p, 0), (d, 1))
    if kind == "max":
        return nn.MaxPool2d((k, 1), (s, 1), (min(p, k // 2), 0), (d, 1))
    if kind == "avg":
        return nn.AvgPool2d((k, 1), (s, 1), (min(p, k // 2), 0))
    if kind == "up":
        return nn.Upsample(scale_factor=(s, 1))
    return nn.ConvTranspose2d(3, 3, (max(k, s), 1), (s, 1), (min(p, 1), 0))


def _positions(kind: str, k: int, s: int, p: int, d: int, j: int) -> list[int]:
    """Return what position j reads."""
    if kind == "up":
        return [math.floor(j / s)]
    if kind == "transposed":
        taps = [(i, j - i * s + min(p, 1)) for i in range(-200, 200)]
        return [i for i, tap in taps if 0 <= tap < max(k, s)]
    p, d = (p, d) if kind == "conv" else (min(p, k // 2), 1 if kind == "avg" else d)
    return [j * s - p + i * d for i in range(k)]


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=5))
def test_random_stacks(layers: list[tuple[str, int, int, int, int]]) -> None:
    fields, found = watched(nn.Sequential(*(_build(*layer) for layer in layers)), 3000, 1)
    line = axis_of(fields, found, 0)
    for j in range(min(2 * line.period, 24)):
        seen = {j}
        for layer in reversed(layers):
            seen = {i for position in seen for i in _positions(*layer, position)}
        assert line.span([j]) == (min(seen), max(seen))
    field = fields.of(found)
    assert field is not None
    assert field.padding[0] == -line.span([0])[0]
    assert field.size[1] == 1


# By gradients, on random orders of moves; weights are ones, for nothing to cancel


def ones(x: Tensor, *shape: int) -> Tensor:
    return torch.ones(shape, dtype=x.dtype, device=x.device)


def even(x: Tensor) -> Tensor:
    return x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]


def to_depth(x: Tensor) -> Tensor:
    x = even(x).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return x.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def to_space(x: Tensor) -> Tensor:
    x = F.conv2d(x, ones(x, 8, x.shape[1], 1, 1)).unflatten(1, (2, 2, 2))
    return x.permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)


def expanded(x: Tensor) -> Tensor:
    return x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 3).flatten(4).flatten(2, 3)


def patches(x: Tensor) -> Tensor:
    mixed = ones(x, 4, 4 * x.shape[1]) @ F.unfold(x, 2)
    return mixed.unflatten(2, [n - 1 for n in x.shape[2:]])


def folded(x: Tensor) -> Tensor:
    y = F.conv2d(x, ones(x, 8, x.shape[1], 1, 1)).flatten(2)
    return F.fold(y, (2 * x.shape[2], 2 * x.shape[3]), 2, stride=2)


MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "conv": lambda x: F.conv2d(x, ones(x, 4, x.shape[1], 3, 2), stride=(1, 2), padding=1),
    "depthwise": lambda x: F.conv2d(x, ones(x, x.shape[1], 1, 2, 3), dilation=2, groups=x.shape[1]),
    "transposed": lambda x: F.conv_transpose2d(x, ones(x, x.shape[1], 4, 4, 3), stride=2, padding=1),
    "pool": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (x.shape[2] // 2 + 1, x.shape[3] * 2 // 3)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "corners": lambda x: F.interpolate(
        x, [n * 3 // 2 for n in x.shape[2:]], mode="bilinear", align_corners=True
    ),
    "nearest": lambda x: F.interpolate(x, scale_factor=3),
    "to depth": to_depth,
    "to space": to_space,
    "expanded": expanded,
    "patches": patches,
    "folded": folded,
    "strided": lambda x: x[:, :, 1::2, :-1],
    "shifted": lambda x: x[:, :, 2:] + x[:, :, 1:-1],
    "joined": lambda x: torch.cat([x[:, :, :, 2:], x[:, :, :, :-2]], 1),
    "stacked": lambda x: torch.stack([x[:, :, 1:], x[:, :, :-1]], 2).sum(2),
    "turned": lambda x: x.transpose(2, 3),
    "flipped": lambda x: x.flip(2),
    "windows": lambda x: even(x).unflatten(3, (-1, 2)).mean(4),
    "unfolded": lambda x: x.unfold(3, 3, 2).mean(-1),
    "linear": lambda x: F.linear(x.permute(0, 2, 3, 1), ones(x, 5, x.shape[1])).permute(0, 3, 1, 2),
    "tokens": lambda x: x.flatten(2).mT.mul(2).mT.unflatten(2, x.shape[2:]),
    "padded": lambda x: F.pad(x, (1, 2, 0, 3)),
    "channel shuffle": lambda x: x.repeat(1, 2, 1, 1).unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2),
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=5))
def test_random_moves(names: list[str]) -> None:
    images = torch.zeros(1, 3, 42, 38, dtype=torch.double, requires_grad=True)
    shadow = torch.empty(images.shape, device="meta")
    watch, found, moved = Watch(shadow), images, shadow
    for name in names:
        if min(found.shape[2:]) >= 7 and found.numel() < 1e5:
            found = MOVES[name](found)
            with torch.no_grad(), watch:
                moved = MOVES[name](moved)
    with torch.no_grad(), watch:
        moved = pairs_summed(moved)
    check_positions(watch.fields, moved, pairs_summed(found), images)


def pairs_summed(x: Tensor) -> Tensor:
    """Sum over all channels and two by two positions."""
    return F.conv2d(x, ones(x, 1, x.shape[1], 2, 2))


def check_positions(fields: FieldTracker, moved: Tensor, found: Tensor, images: Tensor) -> None:
    """Compare some units of a map [1, 1, H, W] whose field is in the middle of the image with their gradients.

    A map may be unknown, such as the pooled one of a map that has positions among its channels.
    """
    field = fields.of(moved)
    assert field is not None
    if field.reach != "local":
        assert field.reason.startswith("aten.")
    if field.reach != "local" or min(moved.shape[2:]) < 2:
        return
    for dim in (2, 3):
        (axis,) = (i for i in (0, 1) if fields._layouts[id(moved)].along(i + 1).keys() == {dim})
        line = axis_of(fields, moved, axis)
        pixels = images.shape[2 + axis]
        inner = [i for i in range(found.shape[dim]) if in_the_middle(*line.span([i]), pixels)]
        for unit in inner[:: max(1, len(inner) // 2)]:
            (gradient,) = torch.autograd.grad(found.select(dim, unit).sum(), images, retain_graph=True)
            seen = gradient[0].sum(0).sum(1 - axis).nonzero().flatten()
            assert (int(seen[0]), int(seen[-1])) == line.span([unit])


def in_the_middle(low: int, high: int, pixels: int) -> bool:
    return low >= pixels // 4 and high < pixels - pixels // 4


# What has no size

SMALL = conv(3, 4, 3, padding=1)


def _turned(x: Tensor) -> Tensor:
    """Attend with all tokens but the class token turned, as rotary position embeddings do."""
    tokens = torch.cat([x.new_zeros(1, 1, 3), x.flatten(2).mT], 1)
    turned = torch.cat([tokens[:, :1], tokens[:, 1:].sin()], 1)
    return (turned @ turned.mT).softmax(-1) @ tokens


GLOBAL = {
    "pooling": nn.Sequential(SMALL, nn.AdaptiveAvgPool2d(1)),
    "max": Applied(lambda x: x.amax((2, 3))),
    "fully connected": nn.Sequential(SMALL, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 16 * 16, 5)),
    "group norm": nn.Sequential(SMALL, nn.GroupNorm(2, 4)),
    "instance norm": nn.Sequential(SMALL, nn.InstanceNorm2d(4)),
    "layer norm": nn.Sequential(SMALL, nn.LayerNorm((32, 32))),
    "gate": Applied(lambda x, c: c(x * x.mean((2, 3), keepdim=True).sigmoid()), c=SMALL),
    "attention": Applied(
        lambda x: F.scaled_dot_product_attention(*(3 * [x.flatten(2).transpose(1, 2)])).mT.unflatten(
            2, (32, 32)
        )
    ),
    "attention by products": Applied(lambda x: (x.flatten(2).mT @ x.flatten(2)).softmax(-1)),
    "softmax": Applied(lambda x: x.flatten(2).softmax(-1)),
    "class token": Applied(
        lambda x, t: t(torch.cat([x.new_zeros(1, 1, 3), x.flatten(2).mT], 1))[:, 0],
        t=nn.TransformerEncoderLayer(3, 1, 8, batch_first=True),
    ),
    "turned tokens": Applied(_turned),
}


@pytest.mark.parametrize("name", GLOBAL)
def test_global(name: str) -> None:
    field = field_of(GLOBAL[name], side=32)
    assert (field.reach, field.size, field.stride, field.padding) == ("global", *(3 * [(None, None)]))
    assert field.reason


def test_one_axis_may_be_global() -> None:
    field = field_of(nn.Sequential(SMALL, nn.AdaptiveAvgPool2d((None, 1)), conv(4, 4, (3, 1))), side=32)
    assert field == ReceptiveField((5, None), (1, None), (1, None), "global", field.reason)
    assert "adaptive" in field.reason or "mean" in field.reason


@pytest.mark.parametrize(
    ("name", "local", "layer"),
    [
        ("torchvision:mobilenet_v3_small", "features.0", "features.1.block.1"),
        ("torchvision:vit_b_16", "conv_proj", "encoder.layers.encoder_layer_0.self_attention.out_proj"),
        ("torchvision:swin_t", "features.5", "features.7.0.attn"),
    ],
)
def test_networks_that_become_global(name: str, local: str, layer: str) -> None:
    model = network(name)
    assert field_of(model, local).reach == "local"
    if "." in layer and "out_proj" not in layer:
        assert field_of(model, layer).reach == "global"
    assert field_of(model).reach == "global"


def _half(x: Tensor) -> Tensor:
    y = x * 1
    y[:, :, :16] = F.avg_pool2d(x, 3, 1, 1)[:, :, :16]
    return y


UNKNOWN = {
    "sort": Applied(lambda x: x.sort(-1).values + 1),
    "fft_r2c": Applied(lambda x: torch.fft.rfft2(x).abs()),
    "grid_sampler": Applied(lambda x: F.grid_sample(x, x.new_zeros(1, 8, 8, 2), align_corners=False)),
    "cumsum": Applied(lambda x: F.avg_pool2d(x.cumsum(2), 2)),
    "upsample": Applied(lambda x: F.interpolate(x, size=(45, 45))),
    "add": Applied(lambda x: x[:, :, ::2, :16] + x[:, :, :16, ::2]),
    "max_pool2d": Applied(lambda x: F.max_pool2d(x.flatten(2).unflatten(2, (64, 16)), 2)),
    "view": Applied(lambda x: x[:, :, :, :30].transpose(2, 3).flatten(1).view(-1, 45)),
    "writes to a part of the positions": Applied(_half),
    "reads along positions": Applied(
        lambda x: F.conv2d(windows(x.permute(0, 2, 3, 1), 4).mT.unflatten(2, (4, 4)), ones(x, 1, 3, 3, 3))
    ),
    "masked_scatter": Applied(lambda x: x.masked_scatter(torch.ones_like(x, dtype=torch.bool), x)),
    "mask": Applied(lambda x: x[:, :, torch.ones(32, dtype=torch.bool)]),
    "indices": Applied(lambda x: x[:, :, torch.arange(4), torch.arange(4)]),
    "convolution": Applied(lambda x: F.conv2d(x, x[:, :, :3, :3])),
    "copy": Applied(lambda x: torch.zeros_like(x).index_put_((torch.arange(1), torch.arange(1)), x[0])),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_is_said_and_named(name: str) -> None:
    field = field_of(UNKNOWN[name], side=32)
    assert field.reach == "unknown"
    assert None in field.size
    assert field.reason.startswith("aten.") or name in field.reason


def test_unknown_then_everything() -> None:
    doubt = Applied(lambda x: x.sort(-1).values + x.mean((2, 3), keepdim=True))
    assert field_of(doubt, side=32).reach == "global"


def test_constants_have_no_field() -> None:
    model = nn.Sequential(SMALL)
    fields, _ = watched(model, 32, 32)
    assert fields.of(torch.empty(3)) is None
    fields, zeros = watched(Applied(lambda x: torch.zeros_like(x) + 1), 32, 32)
    assert fields.of(zeros) is None
    fields, zeros = watched(Applied(lambda x: x.clone().zero_()), 32, 32)
    assert fields.of(zeros) is None
