"""The sliding window of CompVis's sampling scripts, cell by cell and without a cache, on tiny models of every kind."""

import torch
from torch import Tensor, nn

from taming.conditioning import (
    Box,
    BoxCondition,
    BoxFormat,
    ClassCondition,
    Condition,
    CoordinateCondition,
    MapPrefix,
    SegmentationCondition,
    Window,
    get_condition,
)
from taming.models import Transformer, TransformerConfig
from taming.sampling import SamplingOptions, sample_next
from taming.sampling.seeds import CellNoise

CODES = 24
BOXES = BoxFormat(num_classes=5, num_tokens=CODES, max_objects=3)
CONDITIONS = {
    "class": ClassCondition(num_classes=6, null_label=6),
    "segmentation": SegmentationCondition(num_classes=4),
    "coordinates": CoordinateCondition(num_codes=CODES - 1, down_factor=2),
    "boxes": BoxCondition(boxes=BOXES),
}
LAYOUT = [Box(1, 0.1, 0.2, 0.5, 0.5), Box(4, 0.6, 0.0, 0.3, 0.9)]


def reference_conditional(cell: int, length: int, size: int) -> tuple[int, int]:
    """(start, local) by the lines of scripts/sample_conditional.py, with 16 and 8 written as `size` and half of it."""
    half = size // 2
    if cell <= half:
        local = cell
    elif length - cell < half:
        local = size - (length - cell)
    else:
        local = half
    return cell - local, local


def reference_scene(cell: int, length: int, size: int) -> tuple[int, int]:
    """(start, local) by scripts/make_scene_samples.py, which writes 7 for what is before the middle of 16."""
    start = max(0, min(length - size, cell - (size // 2 - 1)))
    return start, cell - start


def build(kind: str, window: tuple[int, int]) -> Transformer:
    config = CONDITIONS[kind]
    shape = {"vocab_size": CODES, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": window}
    block_size = (config.length(*window) or window[0] * window[1]) + window[0] * window[1]
    model = Transformer(TransformerConfig(**shape, block_size=block_size, condition=config)).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6, generator=generator)
    return model


def condition_for(transformer: Transformer, grid: tuple[int, int], batch: int) -> Condition:
    config = transformer.config.condition
    if isinstance(config, SegmentationCondition):
        tokens = torch.randint(CODES, (batch, *grid), generator=torch.Generator().manual_seed(2))
        return Condition(transformer, MapPrefix(tokens), None, None)
    given = {"class": {"label": list(range(batch))}, "coordinates": {}, "boxes": {"boxes": LAYOUT}}[config.kind]
    return get_condition(transformer, **given).expand(batch)


@torch.no_grad()
def draw_by_script(condition: Condition, indices: Tensor, known: Tensor, options: SamplingOptions, seed: int) -> Tensor:
    """The scripts' loop: every cell sees its whole window, condition and all, in a forward pass of its own."""
    config = condition.transformer.config
    (window_height, window_width), (batch, height, width) = config.grid, indices.shape
    rule = reference_scene if isinstance(config.condition, BoxCondition) else reference_conditional
    drawn, noise = indices.clone(), CellNoise(seed, range(batch), width, config.vocab_size, indices.device)
    for i in range(height):
        top, local_i = rule(i, height, window_height)
        for j in range(width):
            left, local_j = rule(j, width, window_width)
            window = Window(top, left, window_height, window_width, (height, width))
            patch = drawn[:, top : top + window_height, left : left + window_width].flatten(1)
            sequence = torch.cat([condition.prefix.at(window), patch], dim=1)[:, :-1]
            logits = condition.transformer(sequence)[:, -patch.shape[1] :]
            logits = logits.view(batch, window_height, window_width, -1)[:, local_i, local_j]
            token = sample_next(logits, options, noise.at([i * width + j])[:, 0])
            drawn[:, i, j] = torch.where(known[:, i, j], drawn[:, i, j], token)
    return drawn
