"""Small random stand-ins for the published checkpoints that the shipped workflows name.

Vocabulary, block size, maps and the layout of the keys are as published, so that a loader recognizes them as it
recognizes the real ones; the widths are tiny.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from published import net2net_weights, prefixed, transformer_weights, vqgan_weights

FOLDER = "taming_transformers"
WIDTH = 32  # 16 heads have to divide it
LEVELS = (1, 1, 1, 1, 1)  # 16 pixels for each token
GRID = 16 * 16
BOXES = 30 * 3 + 2  # tokens of 30 objects and of the crop
LABELS_IN_MAPS = 182


def write_models(models: Path) -> list[Path]:
    """Write every stand-in below the server's folder `models`."""
    folder = models / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "2020-11-09T13-31-51_sflckr.ckpt": _whole(1024, 2 * GRID, map_channels=LABELS_IN_MAPS),
        "2020-11-20T12-54-32_drin_transformer.ckpt": _whole(1024, 2 * GRID, map_channels=1),
        "2020-11-13T21-41-45_faceshq_transformer.ckpt": _whole(1024, 2 * GRID),
        "coco_scene_30.ckpt": _whole(8192, BOXES + GRID),
        "2021-04-03T19-39-50_cin_transformer.ckpt": _whole(16384, GRID),
    }
    for name, weights in files.items():
        torch.save({"state_dict": weights}, folder / name)
    return [folder / name for name in files]


def _whole(vocab_size: int, block_size: int, map_channels: int = 0) -> dict[str, Tensor]:
    """A Net2Net of `vocab_size` tokens; with a VQGAN of its own for maps of `map_channels`, where there are any."""
    transformer = transformer_weights(vocab_size=vocab_size, block_size=block_size, n_layer=1, n_embd=WIDTH)
    weights = net2net_weights(_stage(vocab_size), transformer)
    return weights | (prefixed("cond_stage_model.", _stage(vocab_size, map_channels)) if map_channels else {})


def _stage(num_codes: int, channels: int = 3) -> dict[str, Tensor]:
    return vqgan_weights(ch_mult=LEVELS, attn_levels=(4,), n_embed=num_codes, channels=channels)
