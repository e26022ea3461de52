"""A judge of places: a small U-Net, trained on real scenes only, that reads what stands where in a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn

from benchmarks.judge import load_or_train, soften, to_unit
from benchmarks.photographs import to_picture
from benchmarks.real_scenes import MappedScenes
from benchmarks.report import print_table
from taming.conditioning import Box
from taming.conditioning.vocabularies import vocabulary
from taming.data import OBJECT_NAMES, SEGMENT_NAMES
from taming.viz import labelled_sheet

WIDTHS = (24, 48, 64, 96)  # at 64, 32, 16 and 8 px
BATCH = 16
FOUND_SHARE = 0.25  # of a box's pixels; real objects fill half of it or more
INK = (255, 0, 255)


class Segmenter(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] to logits (B, segments, H, W); sides are multiples of 16."""

    def __init__(self, num_segments: int = len(SEGMENT_NAMES)) -> None:
        super().__init__()
        # Squares of 2 x 2 px are channels: no detail is lost, at a quarter of the work.
        self.down = nn.ModuleList(layer(a, b) for a, b in pairwise((12, *WIDTHS)))
        above, below = WIDTHS[-2::-1], WIDTHS[:0:-1]
        self.up = nn.ModuleList(layer(a + b, a) for a, b in zip(above, below, strict=True))
        self.head = nn.Conv2d(WIDTHS[0], 4 * num_segments, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.pixel_unshuffle(images * 2 - 1, 2)
        passed: list[Tensor] = []
        for index, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if index else x)
            passed.append(x)
        for block in self.up:
            x = block(torch.cat((F.interpolate(x, scale_factor=2.0), passed[-2]), dim=1))
            passed.pop()
        return F.pixel_shuffle(self.head(x), 2)


def layer(channels_in: int, channels_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


def get_segmenter(file: Path, scenes: MappedScenes, epochs: int) -> Segmenter:
    """The segmenter kept in `file`, trained on `scenes` first where there is none."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        segmenter = Segmenter()
    return load_or_train(file, segmenter, lambda: train_segmenter(segmenter, scenes, epochs))


def train_segmenter(segmenter: Segmenter, scenes: MappedScenes, epochs: int) -> None:
    """Train on pictures and maps, mirrored at random, the pictures a little blurred or dimmed."""
    segmenter.train()
    rng = np.random.default_rng(0)
    per_epoch = len(scenes.images) // BATCH
    shares = np.bincount(scenes.maps.ravel(), minlength=len(SEGMENT_NAMES)) / scenes.maps.size
    # Half a percent of the pixels is sun or moon: unweighted, a short training never learns to see them.
    weight = torch.from_numpy(shares).float().clamp_min(1e-4).rsqrt()
    optimizer = torch.optim.AdamW(segmenter.parameters(), 4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * per_epoch, pct_start=0.2)
    for _ in range(epochs):
        for rows in rng.permutation(len(scenes.images))[: per_epoch * BATCH].reshape(per_epoch, BATCH):
            images, maps = to_unit(scenes.images[rows]), torch.from_numpy(scenes.maps[rows]).long()
            if rng.random() < 0.5:
                images, maps = images.flip(3), maps.flip(2)
            loss = F.cross_entropy(segmenter(soften(images, rng)), maps, weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def read_places(segmenter: Segmenter, images: Tensor) -> Tensor:
    """What the segmenter sees at each pixel, (B, 3, H, W) in [0, 1] -> (B, H, W)."""
    return torch.cat([segmenter(batch).argmax(1) for batch in images.split(BATCH)])


def measure_maps(segmenter: Segmenter, groups: Mapping[str, Tensor], told: Tensor) -> dict[str, dict[str, float]]:
    """`compare_maps` of what is read off the pictures of each group, (B, 3, H, W) in [0, 1], and `told`, (B, H, W)."""
    figures = {name: compare_maps(read_places(segmenter, images), told) for name, images in groups.items()}
    lines = list(next(iter(figures.values())))
    rows = [[line, *(f"{row[line]:.1f}" for row in figures.values())] for line in lines]
    print_table(f"What a segmenter reads beside {len(told)} maps, IoU in percent", ["", *figures], rows)
    return figures


def compare_maps(seen: Tensor, told: Tensor) -> dict[str, float]:
    """Intersection over union of two sets of maps, (B, H, W), per segment and on average, in percent.

    The pixels of all pictures are pooled, so that a segment that is small or rare counts as often as it occurs in
    them, not as often as pictures lack it. A segment that `told` never has is left out.
    """
    num_segments = len(SEGMENT_NAMES)
    pairs = (told.long() * num_segments + seen).flatten().bincount(minlength=num_segments**2)
    counts = pairs.view(num_segments, num_segments).double()  # rows: told, columns: seen
    both, in_told, in_seen = counts.diagonal(), counts.sum(1), counts.sum(0)
    shares = (100 * both / (in_told + in_seen - both)).tolist()
    by_segment = {name: shares[i] for i, name in enumerate(SEGMENT_NAMES) if in_told[i] > 0}
    mean = sum(by_segment.values()) / len(by_segment)
    return {**by_segment, "mean_iou": mean, "pixels_right": 100 * float(both.sum() / counts.sum())}


def measure_boxes(
    segmenter: Segmenter, groups: Mapping[str, Tensor], layouts: Sequence[Sequence[Box]]
) -> dict[str, dict[str, float]]:
    """`find_objects` in what is read off the pictures of each group, (B, 3, H, W) in [0, 1]."""
    figures = {name: find_objects(read_places(segmenter, images), layouts) for name, images in groups.items()}
    columns = list(next(iter(figures.values())))
    rows = [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in figures.items()]
    print_table(f"Objects in the boxes of {len(layouts)} pictures", ["", *columns], rows)
    return figures


def find_objects(seen: Tensor, layouts: Sequence[Sequence[Box]]) -> dict[str, float]:
    """How much of maps (B, H, W) is object inside the boxes of each picture, how much outside, in percent.

    A box is found if a quarter of its pixels are object. Whether it is the right object, the segmenter cannot tell.
    """
    is_object = seen == SEGMENT_NAMES.index("object")
    in_boxes = torch.zeros_like(is_object)
    shares = []
    for picture, layout in enumerate(layouts):
        for box in layout:
            rows, columns = box_pixels(box, *seen.shape[1:])
            in_boxes[picture, rows, columns] = True
            shares.append(is_object[picture, rows, columns].float().mean().item())
    return {
        "boxes": len(shares),
        "found_percent": 100 * sum(share >= FOUND_SHARE for share in shares) / len(shares),
        "object_inside_percent": 100 * is_object[in_boxes].float().mean().item(),
        "object_outside_percent": 100 * is_object[~in_boxes].float().mean().item(),
    }


def box_pixels(box: Box, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns that the box covers, one at the least."""
    top, left = min(int(box.y * height), height - 1), min(int(box.x * width), width - 1)
    bottom, right = round((box.y + box.height) * height), round((box.x + box.width) * width)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def draw_maps(rows: Sequence[int], told: Tensor, columns: Mapping[str, Tensor], path: Path) -> Path:
    """Write a sheet to `path`: of each picture in `rows` the map it was told, then each of `columns`.

    Maps are (B, H, W); columns are maps too, or pictures (B, 3, H, W) in [0, 1].
    """
    palette = torch.tensor(vocabulary("scenes").colors).float() / 255
    pictures = {"map": told, **columns}
    shown = [images[row] for row in rows for images in pictures.values()]
    colored = [image if image.dim() == 3 else palette[image.long()].permute(2, 0, 1) for image in shown]
    labels = [*pictures] * len(rows)
    labelled_sheet([to_picture(image) for image in colored], labels, columns=2 * len(pictures)).save(path)
    return path


def draw_boxes(rows: Sequence[int], layouts: Sequence[Sequence[Box]], drawn: Tensor, real: Tensor, path: Path) -> Path:
    """Write a sheet to `path`: of each picture in `rows` what was drawn, with the boxes asked for, and the real one."""
    pictures: list[Image.Image] = []
    labels: list[str] = []
    for row in rows:
        sample = to_picture(drawn[row])
        pen = ImageDraw.Draw(sample)
        for box in layouts[row]:
            down, across = box_pixels(box, sample.height, sample.width)
            pen.rectangle((across.start, down.start, across.stop - 1, down.stop - 1), outline=INK)
        pictures += [sample, to_picture(real[row])]
        labels += [", ".join(OBJECT_NAMES[box.label] for box in layouts[row]), "real"]
    labelled_sheet(pictures, labels, columns=6).save(path)
    return path
