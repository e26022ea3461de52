"""A judge of prompts: a small convolutional classifier of attributes that has seen nothing but real scenes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.attributes import NONE, SKY, Answers, Attributes, answer
from benchmarks.judge import augment, load_or_train, to_unit
from benchmarks.landscapes import Landscapes
from taming.data.scenes.composition import COLORS

INPUT_PX = 128
WIDTHS = (32, 64, 64, 128, 128)
STRIDES = (1, 2, 1, 2, 1)  # of squares of 2 x 2 px
BATCH = 32
BLURS_PX = (1, 3, 5, 7)


class AttributeClassifier(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to logits of words, (B, words), and of colors, (B, colored, COLORS).

    A word is looked for at each place; a color is read where its word is found. Logits of words are relative to how
    often words occur: above 0, a word is likelier than usual. So rare words are found as readily as others.
    """

    def __init__(self, attributes: Attributes) -> None:
        super().__init__()
        self.attributes = attributes
        layers: list[nn.Module] = []
        for (channels_in, channels_out), stride in zip(pairwise((12, *WIDTHS)), STRIDES, strict=True):
            convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        found = (*attributes.words, SKY)
        self.words = nn.Conv2d(WIDTHS[-1], len(found), 1)
        self.colored = [found.index(name) for name in attributes.colored]
        self.colors = nn.Conv2d(WIDTHS[-1], len(attributes.colored) * len(COLORS), 1)

    def see(self, images: Tensor) -> Tensor:
        small = F.interpolate(images, size=(INPUT_PX, INPUT_PX), mode="area")
        # Squares of 2 x 2 px are channels: no detail is lost, at a quarter of the work.
        squares = F.pixel_unshuffle(small * 2 - 1, 2)
        return self.body(squares.contiguous(memory_format=torch.channels_last))

    def features(self, images: Tensor) -> Tensor:
        """What it sees, pooled to 2 x 2 places so that layout counts; (B, 3, H, W) -> (B, 512)."""
        return F.adaptive_avg_pool2d(self.see(images), 2).flatten(1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.see(images)
        words = self.words(x).float().flatten(2)  # (B, words and sky, L)
        colors = self.colors(x).float().flatten(2).unflatten(1, (-1, len(COLORS)))  # (B, colored, COLORS, L)
        places = words[:, self.colored].softmax(2)
        return words[:, :-1].logsumexp(2) - np.log(words.shape[2]), torch.einsum("btl,btcl->btc", places, colors)


def get_classifier(file: Path, attributes: Attributes, scenes: Landscapes, epochs: int) -> AttributeClassifier:
    """The classifier kept in `file`, trained on `scenes` first where there is none."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = AttributeClassifier(attributes)
    truth = answer(attributes, scenes.facts)
    return load_or_train(file, classifier, lambda: train_classifier(classifier, scenes.images, truth, epochs))


def train_classifier(classifier: AttributeClassifier, images: np.ndarray, truth: Answers, epochs: int) -> None:
    """Train on `images`, (N, H, W, 3) uint8, mirrored at random and blurred or dimmed."""
    classifier.train()
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(classifier.parameters(), 3e-3, weight_decay=0.02)
    per_epoch = len(images) // BATCH
    usual = truth.words.float().mean(0).logit()
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * per_epoch, pct_start=0.2)
    for _ in range(epochs):
        for rows in rng.permutation(len(images))[: per_epoch * BATCH].reshape(per_epoch, BATCH):
            rows.sort()  # reading a memory-mapped file is faster in order
            with torch.autocast("cpu", torch.bfloat16):
                words, colors = classifier(augment(to_unit(images[rows]), rng, BLURS_PX))
            loss = attribute_loss(usual + words, colors, Answers(truth.words[rows], truth.colors[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.eval()


def attribute_loss(words: Tensor, colors: Tensor, truth: Answers) -> Tensor:
    """Cross entropy, per image, of all words and of the colors of what is there; () from logits."""
    of_words = F.binary_cross_entropy_with_logits(words, truth.words.float(), reduction="sum")
    of_colors = F.cross_entropy(
        colors.flatten(0, 1), truth.colors.flatten(), ignore_index=NONE, reduction="sum"
    )  # (B * colored, COLORS)
    return (of_words + of_colors) / len(words)


@torch.no_grad()
def recognize(classifier: AttributeClassifier, images: Tensor) -> Answers:
    """What the classifier sees in images, (B, 3, H, W) in [0, 1]; the color of a thing only where it sees the thing."""
    attributes = classifier.attributes
    logits = [classifier(batch) for batch in images.split(BATCH)]
    words = torch.cat([words for words, _ in logits]) > 0
    colors = torch.cat([colors for _, colors in logits]).argmax(2)
    for column, name in enumerate(attributes.colored):
        if name in attributes.words:
            colors[~words[:, attributes.words.index(name)], column] = NONE
    return Answers(words, colors)
