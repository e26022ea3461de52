"""The JSON that safetensors files of this pack carry: which model they hold, built how, on which tokenizer."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import Tensor

from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from .keymaps import CODEBOOK_KEYS, Family
from .wording import shorten, shorten_error

METADATA_KEY = "taming"
FORMAT = 1
MAX_INT = 2**31 - 1
MAY_BE_ZERO = frozenset({"n_unmasked", "null_label", "num_classes", "sos_token"})
CONFIGS: dict[str, type[VQModelConfig] | type[TransformerConfig]] = {
    "vqgan": VQModelConfig,
    "transformer": TransformerConfig,
}
Config = TypeVar("Config")


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
    first_stage: FirstStageReference | None = None


def encode_metadata(metadata: PackMetadata) -> str:
    """The JSON text to store under `METADATA_KEY`."""
    document: dict[str, object] = {
        "format": FORMAT,
        "model": metadata.model,
        "config": config_to_dict(metadata.config),
    }
    if metadata.first_stage is not None:
        document["first_stage"] = config_to_dict(metadata.first_stage)
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
    first_stage = document.get("first_stage")
    return PackMetadata(
        model,
        config_from_dict(CONFIGS[model], document.get("config"), where),
        None if first_stage is None else config_from_dict(FirstStageReference, first_stage, where),
    )


def codebook_fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of the codebook in float32: what tells tokenizers apart, whatever became of their decoders."""
    codebook = next(state_dict[key] for key in CODEBOOK_KEYS if key in state_dict)
    return hashlib.sha256(codebook.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()


def config_to_dict(config: VQModelConfig | TransformerConfig | FirstStageReference) -> dict[str, Any]:
    """A frozen configuration as plain JSON values."""
    return asdict(config)


def config_from_dict(cls: type[Config], values: object, where: str) -> Config:
    """The frozen configuration `cls` from plain values; `where` says whose they are.

    Raises: ConfigError for unknown or missing names and values of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected the fields of a {cls.__name__}, found {shorten(values)}.")
    hints = get_type_hints(cls)
    check_names(values, hints, where)
    missing = [name for name in required_names(cls) if name not in values]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} must be given.")
    converted = {name: _convert(value, hints[name], name, where) for name, value in values.items()}
    try:
        return cls(**converted)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def required_names(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING]


def check_names(values: Mapping[Any, object], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first name in `values` that is not `known`, with the nearest one that is."""
    known = set(known)
    for name in values:
        if name not in known:
            nearest = difflib.get_close_matches(str(name)[:100], known, n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(sorted(known))}."
            raise ConfigError(f"{where}: unknown name {shorten(name)}; {advice}")


def _convert(value: Any, hint: Any, name: str, where: str) -> Any:
    """The plain `value` of the field `name` as the type `hint`: the few types that configurations use."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = next(arg for arg in args if arg is not type(None))
        return None if value is None else _convert(value, inner, name, where)
    if is_dataclass(hint) and isinstance(hint, type):
        return config_from_dict(hint, value, f"{where}: {name}")
    if origin is tuple:
        size = None if args[-1] is Ellipsis else len(args)
        if not isinstance(value, list | tuple) or size not in (None, len(value)):
            expected = "a list" if size is None else f"a list of {size}"
            raise ConfigError(f"{where}: {name}: expected {expected}, found {shorten(value)}.")
        return tuple(_convert(item, args[0], name, where) for item in value)
    expected = _expectation(value, hint, name)
    if expected is not None:
        raise ConfigError(f"{where}: {name}: expected {expected}, found {shorten(value)}.")
    return float(value) if hint is float else value


def _expectation(value: Any, hint: Any, name: str) -> str | None:
    """What a scalar of type `hint` must be, if `value` is not that."""
    if get_origin(hint) is Literal:
        return None if value in get_args(hint) else f"one of {', '.join(get_args(hint))}"
    if hint is int:
        least = 0 if name in MAY_BE_ZERO else 1
        return None if type(value) is int and least <= value <= MAX_INT else f"a whole number of {least} or more"
    if hint is float:
        return None if type(value) in (int, float) and 0 <= value <= MAX_INT else "a number of 0 or more"
    return None if type(value) is hint else {bool: "true or false", str: "a text"}[hint]
