"""The networks that are exported from PyTorch: (how one is made, shape of its input, kind of its inputs) by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from bench.ml.corpus.torch_exports import TOKENS


class Lambda(nn.Module):
    """A function of modules, as a module."""

    def __init__(self, function: Callable[..., torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The function of the modules and the input."""
        return self.function(*self.parts, x)


def _mlp(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(10, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 4))


def _cnn(channels: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def _depthwise() -> nn.Module:
    parts = (nn.Conv2d(3, 6, 1), nn.Hardswish(), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.SiLU(), nn.Conv2d(6, 4, 1))
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _written_layernorm(linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = linear(x)
    centred = y - y.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)


def _written_softmax(linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = linear(x)
    e = torch.exp(y - y.max(-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


def _written_gelu(first: nn.Module, second: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = first(x)
    return second(0.5 * y * (1 + torch.tanh(0.7978845608 * (y + 0.044715 * y**3))))


def _recurrent(kind: type[nn.Module]) -> nn.Module:
    return Lambda(lambda cell, head, x: head(cell(x)[0][:, -1]), kind(6, 8, batch_first=True), nn.Linear(8, 3))


class Attention(nn.Module):
    """A causal layer of attention with its mask as a buffer, as nanoGPT writes it."""

    def __init__(self, width: int = 16, heads: int = 2, length: int = 8, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention of every position to those before it."""
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, dim=2))
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) * (q.shape[-1] ** -0.5)
            scores = scores.masked_fill(self.mask[:, :, :length, :length] == 0, float("-inf"))
            y = functional.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).contiguous().view(batch, length, width))


class Block(nn.Module):
    """A transformer's block, over embedded tokens."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(TOKENS, 16), nn.Embedding(8, 16)
        self.norm, self.attention, self.norm2 = nn.LayerNorm(16), Attention(fused=fused), nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, TOKENS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the next token at every position."""
        y = self.tokens(x) + self.places(torch.arange(x.shape[1], device=x.device))
        y = y + self.attention(self.norm(y))
        return self.head(y + self.mlp(self.norm2(y)))


def _autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def _residual(first: nn.Module, second: nn.Module, head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = functional.relu(first(x))
    return head((y + second(y)).mean((2, 3)))


def _unequal_columns(linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Ratios beside time stamps: columns of very different sizes, scaled inside the model."""
    sizes = torch.tensor([1e-3, 1.0, 1e3, 1e6, 1e9, 1.0, 1e-2, 10.0, 1e4, 1.0])
    return linear((x * sizes + sizes) / sizes)


def _pooled_embedding(table: nn.Module, head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return head(table(x).mean(1))


def _encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)


def _wide() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.Tanh(), nn.Linear(128, 10))


def _lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _mobile() -> nn.Module:
    """Depthwise and pointwise convolutions, a residual around them, batch normalisation in between."""
    inner = nn.Sequential(
        nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU6(), nn.Conv2d(24, 24, 3, padding=1, groups=24), nn.BatchNorm2d(24), nn.ReLU6(),
        nn.Conv2d(24, 8, 1), nn.BatchNorm2d(8),
    )  # fmt: skip
    stem, head = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(8, 6)
    return Lambda(lambda first, block, last, x: last((first(x) + block(first(x))).mean((2, 3))), stem, inner, head)


def _sequence(first: nn.Module, block: nn.Module, norm: nn.Module, head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return head(norm(block(first(x))).mean(1))


class Patches(nn.Module):
    """Patches of an image as a sequence, with learned places."""

    def __init__(self, size: int, width: int, length: int) -> None:
        super().__init__()
        self.cut, self.places = nn.Conv2d(1, width, size, stride=size), nn.Parameter(0.1 * torch.randn(1, length, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, length, width)."""
        return self.cut(x).flatten(2).transpose(1, 2) + self.places


class Residual(nn.Module):
    """Attention and a perceptron, each normalised before and added."""

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.norm, self.attention, self.norm2 = nn.LayerNorm(width), Attention(width, heads, length), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        y = x + self.attention(self.norm(x))
        return y + self.mlp(self.norm2(y))


def _vision() -> nn.Module:
    return Lambda(_sequence, Patches(4, 32, 16), Residual(32, 4, 16), nn.LayerNorm(32), nn.Linear(32, 6))


def _text() -> nn.Module:
    return Lambda(_sequence, nn.Embedding(TOKENS, 32), Residual(32, 4, 12), nn.LayerNorm(32), nn.Linear(32, 4))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "mlp-relu": (lambda: _mlp(nn.ReLU), (1, 10), "normal-classes"),
    "mlp-gelu": (lambda: _mlp(nn.GELU), (1, 10), "normal-classes"),
    "mlp-tanh": (lambda: _mlp(nn.Tanh), (1, 10), "normal-classes"),
    "mlp-sigmoid": (lambda: _mlp(nn.Sigmoid), (1, 10), "normal-classes"),
    "mlp-softplus": (lambda: _mlp(nn.Softplus), (1, 10), "normal-classes"),
    "mlp-elu": (lambda: _mlp(nn.ELU), (1, 10), "normal-classes"),
    "mlp-mish": (lambda: _mlp(nn.Mish), (1, 10), "normal-classes"),
    "mlp-softmax": (lambda: nn.Sequential(_mlp(nn.ReLU), nn.Softmax(-1)), (1, 10), "normal-classes"),
    "mlp-log-softmax": (lambda: nn.Sequential(_mlp(nn.ReLU), nn.LogSoftmax(-1)), (1, 10), "normal-classes"),
    "argmax": (lambda: Lambda(lambda net, x: net(x).argmax(-1), _mlp(nn.ReLU)), (1, 10), "normal"),
    "topk": (lambda: Lambda(lambda net, x: torch.topk(net(x), 2).values, _mlp(nn.ReLU)), (1, 10), "normal"),
    "unequal-columns": (lambda: Lambda(_unequal_columns, nn.Linear(10, 3)), (1, 10), "normal-classes"),
    "cnn": (_cnn, (1, 1, 12, 12), "image-classes"),
    "cnn-opset11": (_cnn, (1, 1, 12, 12), "image-classes"),
    "cnn-residual": (
        lambda: Lambda(_residual, nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)),
        (1, 3, 10, 10), "image-classes",
    ),
    "cnn-depthwise": (_depthwise, (1, 3, 10, 10), "image-classes"),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)), (1, 2, 16), "normal-classes"),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten()), (1, 1, 6, 6, 6), "image"),
    "autoencoder": (_autoencoder, (1, 1, 8, 8), "image"),
    "upsample": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2, mode="bilinear")), (1, 1, 8, 8), "image"),
    "instance-norm": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.InstanceNorm2d(3), nn.ReLU()), (1, 1, 8, 8), "image"),
    "group-norm": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU()), (1, 1, 8, 8), "image"),
    "layernorm": (lambda: nn.Sequential(nn.Linear(10, 16), nn.LayerNorm(16), nn.Linear(16, 3)), (1, 10), "normal-classes"),
    "layernorm-opset13": (lambda: nn.Sequential(nn.Linear(10, 16), nn.LayerNorm(16), nn.Linear(16, 3)), (1, 10), "normal-classes"),
    "layernorm-written-out": (lambda: Lambda(_written_layernorm, nn.Linear(10, 16)), (1, 10), "normal"),
    "rms-norm": (lambda: nn.Sequential(nn.Linear(10, 16), nn.RMSNorm(16), nn.Linear(16, 3)), (1, 10), "normal-classes"),
    "softmax-written-out": (lambda: Lambda(_written_softmax, nn.Linear(10, 6)), (1, 10), "normal-classes"),
    "gelu-written-out": (lambda: Lambda(_written_gelu, nn.Linear(10, 16), nn.Linear(16, 3)), (1, 10), "normal-classes"),
    "gelu-opset11": (lambda: _mlp(nn.GELU), (1, 10), "normal-classes"),
    "log-sum-exp": (lambda: Lambda(lambda net, x: torch.logsumexp(net(x), -1), nn.Linear(10, 6)), (1, 10), "normal"),
    "rnn": (lambda: _recurrent(nn.RNN), (1, 7, 6), "normal-classes"),
    "lstm": (lambda: _recurrent(nn.LSTM), (1, 7, 6), "normal-classes"),
    "gru": (lambda: _recurrent(nn.GRU), (1, 7, 6), "normal-classes"),
    "attention": (Attention, (1, 8, 16), "normal"),
    "attention-opset14": (Attention, (1, 8, 16), "normal"),
    "attention-fused": (lambda: Attention(fused=True), (1, 8, 16), "normal"),
    "encoder-layer": (_encoder, (1, 6, 16), "normal"),
    "embedding": (lambda: Lambda(_pooled_embedding, nn.Embedding(TOKENS, 8), nn.Linear(8, 3)), (1, 6), "tokens-classes"),
    # Large enough that their layers become tensor calls.
    "mlp-wide": (_wide, (1, 64), "normal-classes"),
    "lenet": (_lenet, (1, 1, 28, 28), "image-classes"),
    "mobile-block": (_mobile, (1, 3, 16, 16), "image-classes"),
    "vision-transformer": (_vision, (1, 1, 16, 16), "image-classes"),
    "text-classifier": (_text, (1, 12), "tokens-classes"),
    "gpt-block": (Block, (1, 8), "tokens-classes"),
    "gpt-block-fused": (lambda: Block(True), (1, 8), "tokens-classes"),
}  # fmt: skip
BOTH = ("mlp-gelu", "cnn", "layernorm", "lstm", "gru", "attention", "gpt-block", "softmax-written-out")
"""What the two exporters write differently."""
