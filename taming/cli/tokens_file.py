"""Token grids as .npz files: indices, which cells are known, and the codebook they point into."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoints import codebook_fingerprint
from ..errors import TokensError
from ..file_names import written_at_once
from ..models import VQModel

ARRAYS = ("indices", "known", "codebook")


def write_tokens(indices: Tensor, vqgan: VQModel, path: Path, overwrite: bool) -> None:
    """Save `indices`, (B, h, w), all known, and say where."""
    grid = indices.cpu().numpy().astype(np.int32)
    arrays = {"indices": grid, "known": np.ones(grid.shape, bool), "codebook": codebook_fingerprint(vqgan.state_dict())}
    with written_at_once(path, overwrite) as file:
        np.savez_compressed(file, **arrays)
    print(f"{path}  {'x'.join(map(str, grid.shape))}")


def read_tokens(path: Path, vqgan: VQModel, vqgan_name: str) -> Tensor:
    """The indices, (B, h, w) int64, in the file at `path`.

    Raises: TokensError if it holds no tokens of `vqgan`, or cells that are not known.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            indices, known, codebook = (file[name] for name in ARRAYS)
    except (OSError, AttributeError, TypeError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.strerror:
            raise TokensError(f"{path} cannot be read: {error.strerror}.") from error
        # Of anything else numpy says that it could be loaded as a pickle, which it must not.
        raise TokensError(f"{path} is not a file that `encode` wrote (.npz with {', '.join(ARRAYS)}).") from error
    if indices.ndim != 3 or indices.dtype.kind not in "iu" or known.shape != indices.shape or known.dtype != bool:
        raise TokensError(f"{path} holds no token grids: indices {indices.dtype} {indices.shape}, known {known.shape}.")
    if str(codebook) != codebook_fingerprint(vqgan.state_dict()):
        raise TokensError(
            f"{path} holds tokens of another codebook than that of {vqgan_name}. Give --vqgan the tokenizer that "
            "encoded them."
        )
    if not known.all():
        raise TokensError(f"{path} has {int((~known).sum())} cells that are not known yet: nothing to decode there.")
    if indices.size and not 0 <= indices.min() <= indices.max() < vqgan.config.num_tokens:
        raise TokensError(f"{path} holds indices outside of 0 to {vqgan.config.num_tokens - 1}: it is damaged.")
    return torch.from_numpy(indices.astype(np.int64))
