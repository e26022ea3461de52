"""A judge of class consistency: a small convolutional classifier that has seen nothing but real scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.report import print_table
from taming.data import SCENE_CLASSES

INPUT_PX = 64
BATCH = 64
BLURS_PX = (1, 3)  # sides of the square that is averaged, one as likely as another

Judge = TypeVar("Judge", bound=nn.Module)


class SceneClassifier(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] to logits (B, classes); `features` are what nearest neighbors compare."""

    def __init__(self, num_classes: int = len(SCENE_CLASSES)) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        layers: list[nn.Module] = []
        for index in range(len(widths) - 1):
            convolution = nn.Conv2d(widths[index], widths[index + 1], 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(widths[index + 1]), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * 4, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """What it sees, pooled to 2 x 2 places so that layout counts; (B, 3, H, W) -> (B, 512)."""
        small = F.interpolate(images, size=(INPUT_PX, INPUT_PX), mode="area")
        return F.adaptive_avg_pool2d(self.body(small * 2 - 1), 2).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def train_judge(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int = 0) -> SceneClassifier:
    """Train on `images`, (N, H, W, 3) uint8, mirrored at random and a little blurred or dimmed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        judge = SceneClassifier().train()
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=0.05)
    per_epoch = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * per_epoch, pct_start=0.2)
    for _ in range(epochs):
        for rows in rng.permutation(len(images))[: per_epoch * BATCH].reshape(per_epoch, BATCH):
            rows.sort()  # reading a memory-mapped file is faster in order
            logits = judge(augment(to_unit(images[rows]), rng))
            targets = torch.from_numpy(labels[rows].astype(np.int64))
            loss = F.cross_entropy(logits, targets, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return judge.eval()


def measure_judge(judge: SceneClassifier, groups: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """How far to trust the judge: its accuracy on pictures (B, 3, H, W) with their labels (B,), in percent."""
    figures = {name: accuracy(judge, images, labels) for name, (images, labels) in groups.items()}
    rows = [[f"{len(groups[name][0])} {name}", f"{value:.1f}"] for name, value in figures.items()]
    print_table("The judge, trained on real scenes only", ["its accuracy on", "percent"], rows)
    return figures


def measure_classes(judge: SceneClassifier, drawn: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """How many samples show their class, in percent; of each group as many of each class in turn, (B, 3, H, W)."""
    figures = {}
    for name, images in drawn.items():
        by_class = images.unflatten(0, (len(SCENE_CLASSES), -1))  # (classes, per class, 3, H, W)
        shares = [accuracy(judge, one, torch.full((len(one),), label)) for label, one in enumerate(by_class)]
        figures[name] = {"all": sum(shares) / len(shares), **dict(zip(SCENE_CLASSES, shares, strict=True))}
    rows = [[line, *(f"{row[line]:.1f}" for row in figures.values())] for line in (*SCENE_CLASSES, "all")]
    per_class = len(next(iter(drawn.values()))) // len(SCENE_CLASSES)
    print_table(f"Samples that show their class, percent of {per_class} each", ["", *figures], rows)
    return figures


def accuracy(judge: SceneClassifier, images: Tensor, labels: Tensor) -> float:
    return 100 * (predict(judge, images) == labels).float().mean().item()


def augment(images: Tensor, rng: np.random.Generator, blurs_px: Sequence[int] = BLURS_PX) -> Tensor:
    """Mirror at random, and soften."""
    mirrored = torch.from_numpy(rng.random(len(images)) < 0.5)
    return soften(torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images), rng, blurs_px)


def soften(images: Tensor, rng: np.random.Generator, blurs_px: Sequence[int] = BLURS_PX) -> Tensor:
    """Blur and dim, so that a judge looks at what is shown rather than at how sharp it is."""
    blur_px = int(rng.choice(blurs_px))
    if blur_px > 1:
        images = F.avg_pool2d(images, blur_px, stride=1, padding=blur_px // 2, count_include_pad=False)
    return (images * float(rng.uniform(0.85, 1.15))).clamp(0, 1)


@torch.no_grad()
def predict(judge: SceneClassifier, images: Tensor) -> Tensor:
    """The class the judge sees in each picture, (B, 3, H, W) in [0, 1] -> (B,)."""
    return torch.cat([judge(batch).argmax(1) for batch in images.split(BATCH)])


def to_unit(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


def load_or_train(file: Path, judge: Judge, train: Callable[[], None]) -> Judge:
    """`judge` with the weights kept in `file`; where there is none, `train` it first and keep it."""
    if not file.exists():
        train()
        partial = file.with_suffix(".partial")
        save_file(judge.state_dict(), partial)
        partial.replace(file)
    judge.load_state_dict(load_file(file))
    return judge.eval()
