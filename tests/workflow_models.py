"""What the shipped workflows need to run in a test: small stand-ins for what they load or train, and few steps.

Stand-ins for published checkpoints are random. Vocabulary, block size, maps and the layout of the keys are as
published, so that a loader recognizes them as it recognizes the real ones; the widths are tiny.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from devtools.workflows import nodes_of
from published import net2net_weights, prefixed, transformer_weights, vqgan_weights
from taming.data import SCENE_CLASSES, render_scene

FOLDER = "taming_transformers"
WIDTH = 32  # 16 heads have to divide it
LEVELS = (1, 1, 1, 1, 1)  # 16 pixels for each token
GRID = 16 * 16
BOXES = 30 * 3 + 2  # tokens of 30 objects and of the crop
LABELS_IN_MAPS = 182
PICTURES = "my_pictures"  # the folder that the training workflow reads
TRAINED_PX = 32
TINY_VQGAN = [
    *("phases=[{steps: 4, batch_size: 2}]", "data.min_px=16", "model.resolution=32", "model.ch=32"),
    *("model.ch_mult=[1,1,2]", "model.attn_resolutions=[]", "model.n_embed=16", "model.embed_dim=8"),
    *("model.z_channels=8", "loss.quantize_from=1", "optimizer.warmup_steps=1"),
]
TINY_TRANSFORMER = [
    *("data.min_px=16", "model.vocab_size=16", "model.n_layer=1", "model.n_head=2", "model.n_embd=16"),
]


def write_models(models: Path) -> list[Path]:
    """Write every stand-in below the server's folder `models`, and pictures to train on below `input` beside it."""
    write_pictures(models.parent / "input" / PICTURES)
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
    tokenizers = [models / "vqgan" / name for name in ("vq_ds16_c2i.pt", "imagenet256_16384.ckpt")]
    for file in tokenizers:  # of other families, but these are only to be found and to run
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": _stage(16384)}, file)
    return [*(folder / name for name in files), *tokenizers]


def write_pictures(folder: Path, classes: tuple[str, ...] = ("alpine", "beach"), count: int = 12) -> Path:
    """Write `count` small scenes of each class, in a folder of its name, below `folder`."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in range(count):
            scene = render_scene(SCENE_CLASSES.index(name), seed, 48)
            Image.fromarray(scene.image).save(folder / name / f"{seed}.png")
    return folder


def in_miniature(prompt: dict[str, Any], steps: int = 4) -> dict[str, Any]:
    """The prompt with tiny models in its training recipes and runs of `steps`; other prompts stay as they are."""
    for inputs in nodes_of(prompt, "TamingRecipe"):
        overrides = TINY_VQGAN if "vqgan" in inputs["preset"] else TINY_TRANSFORMER
        inputs |= {"steps": steps, "batch_size": 2, "size_px": TRAINED_PX, "overrides": "\n".join(overrides)}
        for empty in nodes_of(prompt, "TamingEmptyTokens"):
            empty |= {"width": TRAINED_PX, "height": TRAINED_PX}
    return prompt


def _whole(vocab_size: int, block_size: int, map_channels: int = 0) -> dict[str, Tensor]:
    """A Net2Net of `vocab_size` tokens; with a VQGAN of its own for maps of `map_channels`, where there are any."""
    transformer = transformer_weights(vocab_size=vocab_size, block_size=block_size, n_layer=1, n_embd=WIDTH)
    weights = net2net_weights(_stage(vocab_size), transformer)
    return weights | (prefixed("cond_stage_model.", _stage(vocab_size, map_channels)) if map_channels else {})


def _stage(num_codes: int, channels: int = 3) -> dict[str, Tensor]:
    return vqgan_weights(ch_mult=LEVELS, attn_levels=(4,), n_embed=num_codes, channels=channels)
