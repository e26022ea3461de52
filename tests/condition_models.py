"""Small random models for every condition, and what the library draws with them by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from devtools.live_server import LiveServer
from published import net2net_weights, net2net_yaml, prefixed, transformer_weights, vqgan_weights, vqgan_yaml
from taming.checkpoints import load_transformer
from taming.conditioning import Condition, get_condition
from taming.sampling import SamplingOptions, generate

LABELS = 151  # of ADE20K
SIDE = 6  # cells that the models were trained on, 2 px each
FACTOR = 2
GREEDY = SamplingOptions(temperature=0)


def write_models(folder: Path) -> None:
    folder.mkdir(parents=True)
    cells = SIDE * SIDE
    write_map_model(folder / "segmentation.ckpt", LABELS)
    write_map_model(folder / "depth.ckpt", 1)
    write_map_model(folder / "other_depth.ckpt", 1, seed=9)
    write_map_model(folder / "scaled.ckpt", 1, downsample_cond_size=4)
    coordinates = {"target": "taming.modules.misc.coord.CoordStage", "params": {"n_embed": 24, "down_factor": FACTOR}}
    write_model(folder / "coordinates.ckpt", {}, coordinates, block_size=2 * cells)
    boxes = {"target": "taming.models.dummy_cond_stage.DummyCondStage", "params": {"conditional_key": "objects_bbox"}}
    data = {
        "target": "main.DataModuleFromConfig",
        "params": {
            "train": {
                "target": "taming.data.annotated_objects_coco.AnnotatedObjectsCoco",
                "params": {"no_tokens": 400, "max_objects_per_image": 3, "encode_crop": True},
            }
        },
    }
    write_model(folder / "boxes.ckpt", {}, boxes, block_size=3 * 3 + 2 + cells, vocab_size=400, data=data)


def write_map_model(path: Path, channels: int, *, seed: int = 3, **params: Any) -> None:
    stage = prefixed("cond_stage_model.", lively(vqgan_weights(seed, channels=channels)))
    config = stage_config()
    config["params"]["ddconfig"] |= {"in_channels": channels, "out_ch": channels}
    write_model(path, stage, config, block_size=2 * SIDE * SIDE, **params)


def lively(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with activations of a size that lets what comes in matter to what comes out."""
    norms = [key for key in weights if key.endswith(".weight") and weights[key].dim() == 1]
    return {key: torch.ones_like(value) if key in norms else 6 * value for key, value in weights.items()}


def stage_config(**params: int) -> dict[str, Any]:
    """The configuration of a VQGAN that was trained on pictures of as many cells as the transformers."""
    config = vqgan_yaml(**params)["model"]
    config["params"]["ddconfig"] |= {"resolution": SIDE * FACTOR, "attn_resolutions": [SIDE]}
    return config


def write_model(
    path: Path,
    stage: dict[str, Tensor],
    cond_config: dict[str, Any],
    *,
    block_size: int,
    vocab_size: int = 200,
    data: dict[str, Any] | None = None,
    **params: Any,
) -> None:
    """A whole checkpoint of a random model, and its YAML."""
    gpt = lively(transformer_weights(1, vocab_size=vocab_size, block_size=block_size, masks=False))
    first_stage = vqgan_weights(n_embed=vocab_size)
    torch.save({"state_dict": net2net_weights(first_stage, gpt) | stage}, path)
    sizes = {"vocab_size": vocab_size, "block_size": block_size, "n_layer": 2, "n_head": 4, "n_embd": 32}
    config = net2net_yaml(cond_config, **params)
    config["model"]["params"]["transformer_config"]["params"] = sizes
    config["model"]["params"]["first_stage_config"] = stage_config(n_embed=vocab_size)
    path.with_suffix(".yaml").write_text(json.dumps(config | ({"data": data} if data else {})), encoding="utf-8")


def expected(server: LiveServer, name: str, *, height: int = SIDE, width: int = SIDE, **told: Any) -> np.ndarray:
    """The tokens that the library draws by itself."""
    transformer, _ = load_transformer(server.base / "models" / "taming_transformers" / name)
    condition: Condition = get_condition(transformer, **told)
    blank = torch.zeros(condition.batch_size, height, width, dtype=torch.int64)
    return generate(condition, blank, torch.zeros_like(blank, dtype=torch.bool), options=GREEDY).numpy()
