"""API-format prompts that the host tests send, and the pictures that come back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

VQGAN = "embedded/scenes_vqgan.safetensors"
TRANSFORMER = "embedded/scenes_class_transformer.safetensors"
CELLS = 16 * 16

Prompt = dict[str, dict[str, Any]]

LOAD, LABEL, EMPTY, SAMPLE, DECODE, SHOW = "load", "label", "empty", "sample", "decode", "show"


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


def drawing(label: str = "alpine", *, batch_size: int = 1, side: int = 128, **sample: Any) -> Prompt:
    """Draw a class with the embedded model; `sample` overrides inputs of the sampler."""
    settings = {"seed": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "condition": [LABEL, 0], **sample}
    return {
        LOAD: node("TamingLoadTransformer", transformer_name=TRANSFORMER),
        LABEL: node("TamingClassCondition", transformer=[LOAD, 0], label=label),
        EMPTY: node("TamingEmptyTokens", vqgan=[LOAD, 1], width=side, height=side, batch_size=batch_size),
        SAMPLE: node("TamingSample", transformer=[LOAD, 0], tokens=[EMPTY, 0], **settings),
        DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=[SAMPLE, 0]),
        SHOW: node("PreviewImage", images=[DECODE, 0]),
    }


def reconstruction(width: int = 128, height: int = 128, *, vqgan_name: str = VQGAN, batch_size: int = 1) -> Prompt:
    """Encode and decode a plain gray-blue picture of the host's own making."""
    return {
        "image": node("EmptyImage", width=width, height=height, batch_size=batch_size, color=0x6080A0),
        LOAD: node("TamingLoadVQGAN", vqgan_name=vqgan_name),
        "encode": node("TamingEncode", vqgan=[LOAD, 0], image=["image", 0]),
        DECODE: node("TamingDecode", vqgan=[LOAD, 0], tokens=["encode", 0]),
        SHOW: node("PreviewImage", images=[DECODE, 0]),
    }


def pixels(picture: bytes) -> np.ndarray:
    """A picture file as (H, W, 3) uint8; the files themselves differ, since they carry their prompt."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
