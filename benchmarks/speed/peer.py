"""The same work in PyTorch, eager, as its users write it: channels last, autocast for bfloat16.

Topology, losses and optimizers are those of `cmda_tf`; `compare.py` refuses other numbers of
weights.
"""

import copy
from collections.abc import Callable, Iterable

import numpy as np
import torch
from case import CRITIC_UPDATES, DEPTH, Case
from torch import nn
from torch.nn import functional

CLASSES, SLOPE, CLIP, RATE = 5, 0.2, 0.03, 3e-4
BATCH_OF_PREDICTION = 16
TAPS = (13, 21, 25, 31, 33)


def _convolution(inputs: int, outputs: int, size=3, stride=1, dilation=1) -> nn.Conv2d:
    padding = dilation * (size // 2)
    return nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Residual(nn.Module):
    """Two convolutions and a shortcut that is zero-padded in channels; perhaps a pooling."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1, pool: bool = False):
        super().__init__()
        self.first, self.first_norm = _convolution(inputs, outputs, 3, 1, dilation), _norm(outputs)
        self.second, self.second_norm = (
            _convolution(outputs, outputs, 3, 1, dilation),
            _norm(outputs),
        )
        self.missing, self.pool = outputs - inputs, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, C, H, W]` to `[B, outputs, H, W]`, half as large after a pooling."""
        h = functional.leaky_relu(self.first_norm(self.first(x)), SLOPE)
        h = self.second_norm(self.second(h))
        if self.missing:
            before = self.missing // 2
            x = functional.pad(x, (0, 0, 0, 0, before, self.missing - before))
        x = functional.leaky_relu(x + h, SLOPE)
        return functional.max_pool2d(x, 2) if self.pool else x


class ConvNormAct(nn.Sequential):
    """Convolution, BatchNorm, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        layers = _convolution(inputs, outputs, 3, stride), _norm(outputs), nn.LeakyReLU(SLOPE)
        super().__init__(*layers)


def segmenter(width: float) -> nn.ModuleDict:
    """The 33 layers as units, by the index of each unit's last convolution."""
    c = [int(width * n) for n in (16, 32, 64, 128, 256, 512)]
    units = {
        1: _convolution(3, c[0]),
        3: Residual(c[0], c[0], pool=True),
        5: Residual(c[0], c[1], pool=True),
        7: Residual(c[1], c[2]),
        9: Residual(c[2], c[2], pool=True),
        11: Residual(c[2], c[3]),
        13: Residual(c[3], c[3]),
        15: Residual(c[3], c[4]),
        17: Residual(c[4], c[4]),
        19: Residual(c[4], c[4]),
        21: Residual(c[4], c[4]),
        23: Residual(c[4], c[5]),
        25: Residual(c[5], c[5]),
        27: Residual(c[5], c[5], 2),
        29: Residual(c[5], c[5], 2),
        30: ConvNormAct(c[5], c[5]),
        31: ConvNormAct(c[5], c[5]),
        32: nn.Sequential(_convolution(c[5], 64 * 8 * CLASSES), nn.PixelShuffle(8)),
        33: _convolution(8 * CLASSES, CLASSES, 5),
    }
    return nn.ModuleDict({str(layer): unit for layer, unit in units.items()})


def critic(channels: int, width: float, size: int) -> nn.Sequential:
    """Five residual blocks with a strided convolution each, one more, a linear score."""
    layers, inputs, left = [], channels, max(1, size // 4)
    for outputs, largest in zip((64, 128, 256, 512, 512), (2, 2, 2, 2, 4)):
        outputs, stride = int(width * outputs), min(largest, left)
        left //= stride
        if outputs < inputs:
            layers.append(_convolution(inputs, outputs))
            inputs = outputs
        layers += [Residual(inputs, outputs), ConvNormAct(outputs, outputs, stride)]
        inputs = outputs
    layers += [ConvNormAct(inputs, int(512 * width), 2), nn.Flatten()]
    return nn.Sequential(*layers, nn.LazyLinear(1, bias=False))


def run(units: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """One unit after another."""
    for unit in units:
        x = unit(x)
    return x


def features(units: dict[str, nn.Module], x: torch.Tensor) -> torch.Tensor:
    """The critic's input: tapped features and the mask at full resolution."""
    tapped = []
    for layer, unit in units.items():
        x = unit(x)
        if int(layer) in TAPS:
            tapped.append(functional.pixel_shuffle(x, 8) if int(layer) < 32 else x)
    return torch.cat([*tapped, x.argmax(1, keepdim=True).to(x.dtype)], 1)


def hybrid_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Eq. 1 of the paper."""
    logits = logits.float()
    truth = functional.one_hot(labels, CLASSES).permute(0, 3, 1, 2).float()
    weights = (1 - truth.mean((0, 2, 3)))[None, :, None, None]
    cross_entropy = -(weights * truth * logits.log_softmax(1)).sum(1).mean()
    probabilities = logits.softmax(1)
    overlap = 2 * (probabilities * truth).sum((0, 2, 3))
    total = (probabilities**2).sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1e-7
    return cross_entropy - (overlap / total).mean()


def tasks(case: Case) -> tuple[dict[str, Callable], list[int]]:
    """Every update by its name; the numbers of weights of segmenter and critic."""
    torch.manual_seed(0)
    layout = torch.channels_last
    shape = (case.batch, 3, case.size, case.size)
    images = torch.randn(shape).to(memory_format=layout)
    labels = torch.randint(0, CLASSES, (case.batch, case.size, case.size))
    network = segmenter(case.width).to(memory_format=layout)
    adam = torch.optim.Adam(network.parameters(), RATE)

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=case.precision != "float32")

    def source_step() -> None:
        network.train()
        adam.zero_grad(set_to_none=True)
        with autocast():
            logits = run(network.values(), images)
        hybrid_loss(logits, labels).backward()
        adam.step()

    @torch.no_grad()
    def predict(batch: torch.Tensor) -> torch.Tensor:
        network.eval()
        with autocast():
            return run(network.values(), batch).argmax(1).to(torch.uint8)

    volume = np.random.default_rng(0).normal(size=[case.size] * 3).astype(np.float32)

    def prediction() -> None:
        index = np.arange(case.size)
        triples = np.stack([np.maximum(index - 1, 0), index, np.minimum(index + 1, case.size - 1)])
        for start in range(0, case.size, BATCH_OF_PREDICTION):
            chosen = volume[triples[:, start : start + BATCH_OF_PREDICTION]]
            batch = torch.from_numpy(np.ascontiguousarray(np.moveaxis(chosen, 0, 1)))
            predict(batch.to(memory_format=layout)).numpy()

    updates, judge = _adversarial_updates(case, images, autocast)
    measured = {"forward": lambda: predict(images), "source_step": source_step}
    counts = [sum(p.numel() for p in model.parameters()) for model in (network, judge)]
    return {**measured, **updates, "prediction": prediction}, counts


def _adversarial_updates(
    case: Case, images: torch.Tensor, autocast: Callable
) -> tuple[dict[str, Callable], nn.Module]:
    """The updates of the critic and the DAM, and the critic."""
    frozen = segmenter(case.width).to(memory_format=torch.channels_last).eval()
    frozen.requires_grad_(False)
    dam = {k: copy.deepcopy(unit) for k, unit in frozen.items() if int(k) <= DEPTH}
    parameters = []
    for unit in dam.values():
        unit.train().requires_grad_(True)
        parameters += unit.parameters()
    target = {k: dam.get(k, unit) for k, unit in frozen.items()}
    with torch.no_grad():
        channels = features(dict(frozen.items()), images[:1]).shape[1]
        judge = critic(channels, case.width, case.size)
        judge(torch.zeros(2, channels, case.size, case.size))  # the linear layer learns its size
    judge = judge.to(memory_format=torch.channels_last).train()
    rmsprop = {"alpha": 0.9, "eps": 1e-7}
    of_critic = torch.optim.RMSprop(judge.parameters(), RATE, **rmsprop)
    of_dam = torch.optim.RMSprop(parameters, RATE, **rmsprop)
    kernels = [p for p in judge.parameters() if p.ndim > 1]

    def critic_update() -> None:
        with torch.no_grad(), autocast():
            real, other = features(dict(frozen.items()), images), features(target, images)
        of_critic.zero_grad(set_to_none=True)
        with autocast():
            loss = judge(other).float().mean() - judge(real).float().mean()
        loss.backward()
        of_critic.step()
        with torch.no_grad():
            for kernel in kernels:
                kernel.clamp_(-CLIP, CLIP)

    def dam_update() -> None:
        judge.requires_grad_(False)
        of_dam.zero_grad(set_to_none=True)
        with autocast():
            loss = -judge(features(target, images)).float().mean()
        loss.backward()
        of_dam.step()
        judge.requires_grad_(True)

    def joint_update() -> None:
        for _ in range(CRITIC_UPDATES):
            critic_update()
        dam_update()

    return {
        "critic_update": critic_update,
        "dam_update": dam_update,
        "joint_update": joint_update,
    }, judge
