"""Tiny training recipes, as files."""

import json
from pathlib import Path

SIZE_PX = 32
VQGAN = {"n_embed": 16, "embed_dim": 4, "ch": 32, "ch_mult": [1, 1, 2], "num_res_blocks": 1, "z_channels": 8}
VQGAN |= {"quantizer": "ema", "attn_resolutions": [], "resolution": SIZE_PX}
GPT = {"vocab_size": 16, "block_size": 64, "n_layer": 2, "n_head": 2, "n_embd": 32, "grid": [8, 8]}
RECIPES = {
    "vqgan": {
        "model": VQGAN,
        "loss": {"l1": 0.5, "l2": 5.0, "quantize_from": 2},
        "optimizer": {"lr": 2e-3, "warmup_steps": 2},
        "phases": [{"steps": 3, "batch_size": 3, "crop_px": 16}, {"steps": 2, "batch_size": 2}],
    },
    "vqgan_decoder": {
        "model": {},
        "loss": {"adversarial": 0.1, "adversarial_from": 2},
        "optimizer": {"lr": 1e-3, "warmup_steps": 0},
        "phases": [{"steps": 5, "batch_size": 1}],
        "first_stage": "tokenizer.safetensors",
    },
    "transformer": {
        "model": {**GPT, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1},
        "loss": {"null_rate": 0.2},
        "optimizer": {"lr": 3e-3, "warmup_steps": 2, "weight_decay": 0.05},
        "phases": [{"steps": 5, "batch_size": 4}],
        "first_stage": "tokenizer.safetensors",
    },
}


def write_recipe(folder: Path, name: str, **changes: object) -> Path:
    """A recipe file; JSON is YAML. A change to None leaves the key out; the tokenizer is the one in `folder`."""
    data = {"size_px": SIZE_PX, "flip": name != "transformer"}
    values = {"task": name, "seed": 5, "evaluate_every": 4, "data": data, **RECIPES[name], **changes}
    if values.get("first_stage"):
        values["first_stage"] = str(folder / values["first_stage"])
    file = folder / "recipe.yaml"
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return file
