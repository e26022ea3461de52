"""LPIPS from weights files that the user has: nothing is downloaded."""

import os
from pathlib import Path

import torch
from torch import Tensor

from ...checkpoints import read_checkpoint
from ...errors import UnsupportedCheckpointError
from .lpips import LPIPS, Scaling, published_key


def load_lpips(*files: str | os.PathLike[str], legacy_dropout: bool = False) -> LPIPS:
    """LPIPS from `files` which together have all of its weights.

    Any of: `vgg.pth` of the LPIPS authors (the five heads), torchvision's `vgg16-397923af.pth` (the network), a VQGAN
    checkpoint that still has its loss (both, under `loss.perceptual_loss.`), or what `state_dict()` of ours saved.

    Raises:
        CheckpointError: a file cannot be read.
        UnsupportedCheckpointError: weights are missing, or are of another network.
    """
    found = Scaling().state_dict(prefix="scaling_layer.")  # constants, which the authors' files leave out
    for file in files:
        for key, tensor in read_checkpoint(file).state_dict.items():
            name = published_key(key)
            if name is not None:
                found[name] = tensor
    with torch.device("meta"):  # its own weights would be drawn only to be replaced
        lpips = LPIPS(legacy_dropout)
    expected = lpips.state_dict()
    _check(found, expected, ", ".join(Path(file).name for file in files))
    lpips.load_state_dict({key: found[key].to(torch.float32, copy=True) for key in expected}, assign=True)
    return lpips.requires_grad_(False)


def _check(found: dict[str, Tensor], expected: dict[str, Tensor], names: str) -> None:
    missing = [key for key in expected if key not in found]
    if missing:
        advice = (
            "the heads are in vgg.pth of the LPIPS authors (https://github.com/richzhang/PerceptualSimilarity)"
            if all(key.startswith("lin") for key in missing)
            else "the network is torchvision's vgg16-397923af.pth, the heads are vgg.pth of the LPIPS authors"
        )
        raise UnsupportedCheckpointError(
            f"{names or 'No file'}: {len(missing)} of the {len(expected)} weights of LPIPS are not there, the first is "
            f"{missing[0]}. Name the file that has them too: {advice}."
        )
    for key, tensor in expected.items():
        if found[key].shape != tensor.shape:
            raise UnsupportedCheckpointError(
                f"{names}: {key} has the shape {tuple(found[key].shape)}, LPIPS has {tuple(tensor.shape)} there. These "
                "are weights of another network; LPIPS for training is the VGG16 one."
            )
