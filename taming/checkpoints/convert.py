"""Published checkpoints as one safetensors file that says what it is: no pickle, no optimizer, no YAML beside it."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from .config_source import ConfigInput, find_config
from .metadata import PackMetadata
from .parts import holds, without_others
from .plan_transformer import transformer_plan
from .plan_vqgan import vqgan_plan
from .read import read_checkpoint
from .save import write_checkpoint


def convert_checkpoint(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    dtype: torch.dtype | None = None,
    config: ConfigInput = None,
    part: str | None = None,
) -> None:
    """Write what our loaders make of the file `path` to the safetensors file `out`, with all stages that it holds.

    The file may name anything in its pickles: all of it becomes inert stubs. `dtype` is that of the stored weights; by
    default they stay as they are. Of several models of one kind, `part` is the prefix of the one to take.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError, as loading does.
    """
    checkpoint = read_checkpoint(path, stub_all=True)
    if part is not None:
        checkpoint = without_others(checkpoint, part)
    source = find_config(checkpoint, config)
    if not holds(checkpoint, "transformer"):
        plan = vqgan_plan(checkpoint, source)
        write_checkpoint(plan.state_dict, PackMetadata("vqgan", plan.config), Path(out), dtype)
        return
    plan = transformer_plan(checkpoint, source)
    stages = {"first_stage_model.": plan.first_stage, "cond_stage_model.": plan.cond_stage}
    weights = {"transformer." + key: tensor for key, tensor in plan.state_dict.items()}
    for prefix, stage in stages.items():
        if stage is not None:
            weights |= {prefix + key: tensor.clone() for key, tensor in stage.state_dict.items()}  # may be shared
    configs = [None if stage is None else stage.config for stage in stages.values()]
    write_checkpoint(weights, PackMetadata("transformer", plan.config, *configs), Path(out), dtype)
