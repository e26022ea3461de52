"""The JSON that safetensors files of this pack carry: which model they hold, built how, on which tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ..configs import config_from_dict
from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..text import shorten, shorten_error
from .keymaps import CODEBOOK_KEYS, Family

METADATA_KEY = "taming"
FORMAT = 1
CONFIGS: dict[str, type[VQModelConfig] | type[TransformerConfig]] = {
    "vqgan": VQModelConfig,
    "transformer": TransformerConfig,
}


@dataclass(frozen=True)
class FirstStageReference:
    """The tokenizer that a transformer's tokens belong to, in the same folder as the transformer's file."""

    file: str  # bare file name
    codebook: str  # its fingerprint, see `codebook_fingerprint`


@dataclass(frozen=True)
class PackMetadata:
    """What a file of this pack says about itself."""

    model: Family
    config: VQModelConfig | TransformerConfig
    first_stage: FirstStageReference | VQModelConfig | None = None  # a transformer's tokenizer: beside it, or within
    cond_stage: VQModelConfig | None = None  # the tokenizer of its maps, within


def encode_metadata(metadata: PackMetadata) -> str:
    """The JSON text to store under `METADATA_KEY`."""
    document: dict[str, object] = {
        "format": FORMAT,
        "model": metadata.model,
        "config": config_to_dict(metadata.config),
    }
    for name in ("first_stage", "cond_stage"):
        if getattr(metadata, name) is not None:
            document[name] = config_to_dict(getattr(metadata, name))
    return json.dumps(document)


def decode_metadata(metadata: Mapping[str, str], name: str) -> PackMetadata | None:
    """What the safetensors `metadata` of the file `name` says, or None if this pack did not write it.

    Raises: ConfigError if it is malformed or written by a newer version.
    """
    if METADATA_KEY not in metadata:
        return None
    where = f"the '{METADATA_KEY}' metadata of {name}"
    try:
        document = json.loads(metadata[METADATA_KEY])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not valid JSON ({shorten_error(error)}): save the file again.") from error
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise ConfigError(f"{where} has no format number: save the file again.")
    if document["format"] != FORMAT:
        raise ConfigError(f"{where} has format {document['format']}, this version reads {FORMAT}: update the pack.")
    model = document.get("model")
    if model != "vqgan" and model != "transformer":
        raise ConfigError(f"{where} names the model {shorten(model)}; known are vqgan, transformer.")
    first_stage, cond_stage = document.get("first_stage"), document.get("cond_stage")
    is_reference = isinstance(first_stage, Mapping) and "file" in first_stage
    stage_class = FirstStageReference if is_reference else VQModelConfig
    return PackMetadata(
        model,
        config_from_dict(CONFIGS[model], document.get("config"), where),
        None if first_stage is None else config_from_dict(stage_class, first_stage, f"{where}: first_stage"),
        None if cond_stage is None else config_from_dict(VQModelConfig, cond_stage, f"{where}: cond_stage"),
    )


def codebook_fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of the codebook in float32: what tells tokenizers apart, whatever became of their decoders."""
    codebook = next(state_dict[key] for key in CODEBOOK_KEYS if key in state_dict)
    return hashlib.sha256(codebook.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()


def config_to_dict(config: VQModelConfig | TransformerConfig | FirstStageReference) -> dict[str, Any]:
    """A frozen configuration as plain JSON values."""
    values = asdict(config)
    if isinstance(config, TransformerConfig):
        values["condition"] = config.condition.to_dict()
    return values
