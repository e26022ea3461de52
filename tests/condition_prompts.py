"""Prompts that draw by a condition, and the maps and boxes that they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from condition_models import FACTOR, SIDE
from devtools.live_server import LiveServer, Run
from prompts import DECODE, EMPTY, LOAD, SAMPLE, SHOW, Prompt, node
from taming.conditioning import Box
from taming.conditioning.vocabularies import vocabulary

CONDITION = "condition"
LAYOUT = [Box(0, 0.25, 0.5, 0.25, 0.5), Box(1, 0.0, 0.0, 0.5, 0.125)]  # person and traffic light


def drawing(
    name: str, condition: dict[str, Any] | None, *, height: int = SIDE, width: int = SIDE, batch_size: int = 1
) -> Prompt:
    """Draw a grid greedily by what the node `condition` says."""
    settings: dict[str, Any] = {"seed": 0, "temperature": 0.0, "top_k": 0, "top_p": 1.0}
    sides = {"width": width * FACTOR, "height": height * FACTOR}
    prompt = {
        LOAD: node("TamingLoadTransformer", transformer_name=name),
        EMPTY: node("TamingEmptyTokens", vqgan=[LOAD, 1], **sides, batch_size=batch_size),
        SAMPLE: node("TamingSample", transformer=[LOAD, 0], tokens=[EMPTY, 0], **settings),
        DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=[SAMPLE, 0]),
        SHOW: node("PreviewImage", images=[DECODE, 0]),
        "drawn": node("ProbeTokens", tokens=[SAMPLE, 0]),
    }
    if condition is not None:
        prompt[CONDITION] = condition
        prompt[CONDITION]["inputs"]["transformer"] = [LOAD, 0]
        prompt[SAMPLE]["inputs"]["condition"] = [CONDITION, 0]
    return prompt


def with_image(name: str, image: Tensor, palette: str | None = None, **grid: int) -> Prompt:
    """Draw by a picture, (B, H, W, C) in [0, 1]."""
    chosen = {} if palette is None else {"palette": palette}
    prompt = drawing(name, node("TamingImageCondition", image=["image", 0], **chosen), **grid)
    values = " ".join(map(str, image.flatten().tolist()))
    prompt["image"] = node("ProbeImage", values=values, shape=",".join(map(str, image.shape)))
    return prompt


def with_boxes(boxes: list[Any], *, batch_size: int = 1, **inputs: Any) -> Prompt:
    """Draw by boxes as the editor's canvas writes them."""
    condition = node("TamingBoxCondition", boxes={"__value__": boxes}, **inputs)
    return drawing("boxes.ckpt", condition, batch_size=batch_size)


def drawn(run: Run) -> np.ndarray:
    """Tokens (B, h, w)."""
    assert run.ending == "execution_success", run.error
    return np.array(run.history["outputs"]["drawn"]["indices"])


def failure(server: LiveServer, prompt: Prompt) -> str:
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    return run.error


def random_labels(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Labels in blocks of a token, (B, height * 2, width * 2), none of the two that share a color."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(8, 48, (batch, height, width), generator=generator)
    return labels.repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)


def gray(labels: Tensor) -> Tensor:
    return (labels.float() / 255)[..., None].expand(*labels.shape, 3)


def colored(labels: Tensor) -> Tensor:
    return torch.tensor(vocabulary("ade20k").colors)[labels].float() / 255


def random_depth(batch: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, SIDE * FACTOR, SIDE * FACTOR, generator=torch.Generator().manual_seed(seed))


def canvas_box(box: Box, description: str, width: int = 1024, height: int = 1024) -> dict[str, Any]:
    """A box as the host's canvas writes it."""
    place = {"x": box.x * width, "y": box.y * height, "width": box.width * width, "height": box.height * height}
    return {**place, "metadata": {"type": "obj", "text": "", "desc": description, "palette": []}}


def canvas_boxes(*descriptions: str, **size: int) -> list[dict[str, Any]]:
    return [canvas_box(box, text, **size) for box, text in zip(LAYOUT, descriptions, strict=True)]
