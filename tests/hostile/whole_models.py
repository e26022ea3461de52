"""Whole checkpoints, conditional models and tokenizers of other families, whose parts do not fit or lie."""

from __future__ import annotations

import torch
from torch import Tensor

from published import net2net_weights, prefixed, transformer_weights, vqgan_weights

from .forge import Hostile, torch_bytes, transformer_metadata, vqgan_metadata, weights_bytes

BOXES = {"num_classes": 3, "num_tokens": 32, "max_objects": 2}  # 8 tokens of condition
VQGAN_CONFIG = vqgan_metadata()["config"]


def whole(cond_stage: dict[str, Tensor] | None = None, masks: bool = False, **sizes: int) -> dict[str, Tensor]:
    """A whole conditional model: 4x4 tokens after as many of the condition."""
    sizes = {"block_size": 32, **sizes}
    weights = net2net_weights(vqgan_weights(), transformer_weights(masks=masks, **sizes))
    return weights | prefixed("cond_stage_model.", cond_stage or vqgan_weights(channels=5))


def converted(**stages: object) -> dict[str, object]:
    """What a conversion writes into the file of `whole()`."""
    condition = {"kind": "segmentation", "num_classes": 5}
    metadata = transformer_metadata(VQGAN_CONFIG, block_size=32, condition=condition)
    return metadata | {"cond_stage": {**VQGAN_CONFIG, "in_channels": 5, "out_ch": 5}} | stages


def lying(name: str, *words: str, **stages: object) -> Hostile:
    return Hostile(f"{name}.safetensors", lambda _: weights_bytes(whole(), converted(**stages)), words)


def conditioned(name: str, condition: object, *words: str, **changes: object) -> Hostile:
    """A transformer with a condition of numbers that no model has."""
    return Hostile(
        f"{name}.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(condition=condition, **changes)),
        words,
    )


def permuted(name: str, buffer: Tensor, *words: str) -> Hostile:
    """An unconditional model of a published size with a permuter's buffer."""
    sizes = {"vocab_size": 1024, "block_size": 256, "n_layer": 1, "n_embd": 16}
    return Hostile(
        f"permuter_{name}.ckpt",
        lambda _: torch_bytes(
            prefixed("transformer.", transformer_weights(masks=False, **sizes))
            | {"permuter.forward_shuffle_idx": buffer}
        ),
        words,
    )


def spoiled(value: float) -> dict[str, Tensor]:
    weights = vqgan_weights(channels=5)
    weights["encoder.conv_in.weight"].view(-1)[3] = value
    return weights


def remapped(name: str, used: Tensor, *words: str) -> Hostile:
    weights = vqgan_weights() | {"quantize.used": used}
    return Hostile(f"remap_{name}.safetensors", lambda _: weights_bytes(weights), words)


def without(weights: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name != key}


def boxes(name: str, settings: dict[str, object], *words: str, **changes: object) -> Hostile:
    return conditioned(f"boxes_{name}", {"kind": "boxes", "boxes": {**BOXES, **settings}}, *words, **changes)


ORDER = torch.arange(256)
WHOLE_MODELS = [  # for the transformer loader
    lying("stage_codes", "n_embed 9999", first_stage={**VQGAN_CONFIG, "n_embed": 9999}),
    lying("stage_channels", "in_channels 7", cond_stage={**VQGAN_CONFIG, "in_channels": 7, "out_ch": 7}),
    lying("stage_levels", "ch_mult", cond_stage={**VQGAN_CONFIG, "ch_mult": [1, 2, 2]}),
    lying("stage_list", "first_stage: expected the fields", first_stage=[1, 2]),
    lying("stage_text", "cond_stage: expected the fields", cond_stage="__is_first_stage__"),
    lying("stage_heads", "unknown name 'n_head'", cond_stage={**VQGAN_CONFIG, "n_head": 4}),
    lying(
        "stage_classes",
        "channels",
        config=converted()["config"] | {"condition": {"kind": "segmentation", "num_classes": 4}},
    ),
    lying(
        "stage_unused",
        "for maps",
        "unconditional",
        cond_stage=None,
        config=transformer_metadata(block_size=32)["config"],
    ),
    Hostile(
        "stage_missing.safetensors",
        lambda _: weights_bytes(
            {key: tensor for key, tensor in whole().items() if not key.startswith("cond_stage_model.")}, converted()
        ),
        ("cond_stage",),
    ),
    Hostile(
        "stage_nan.safetensors",
        lambda _: weights_bytes(whole(spoiled(float("nan"))), converted()),
        ("encoder.conv_in.weight", "not finite"),
    ),
    Hostile(
        "stage_inf.ckpt", lambda _: torch_bytes(whole(spoiled(float("inf")))), ("encoder.conv_in.weight", "not finite")
    ),
    Hostile(
        "stage_cut.ckpt",
        lambda _: torch_bytes(without(whole(), "cond_stage_model.decoder.conv_out.weight")),
        ("decoder.conv_out.weight",),
    ),
    Hostile(
        "codes.ckpt",
        lambda _: torch_bytes(whole(vqgan_weights(channels=5, n_embed=1000), vocab_size=24, block_size=512, n_embd=16)),
        ("24 tokens", "1000"),
    ),
    Hostile(
        "mask_nan.ckpt",
        lambda _: torch_bytes(
            whole(block_size=512, n_embd=16)
            | {"transformer.blocks.0.attn.mask": torch.full((1, 1, 512, 512), float("nan"))}
        ),
        ("mask",),
    ),
    permuted("short", ORDER[:100], "every cell"),
    permuted("long", torch.arange(300), "every cell"),
    permuted("twice", ORDER.clone().fill_(3), "every cell"),
    permuted("negative", ORDER - 1, "every cell"),
    permuted("float", ORDER.float() + 0.5, "permuter"),
    permuted("nan", torch.full((256,), float("nan")), "permuter"),
    permuted("endless", torch.zeros(1_000_000, dtype=torch.int64), "permuter"),
    conditioned("order_twice", {}, "order must name every cell", order=[0] * 16),
    conditioned("order_words", {}, "order: expected a whole number", order=["0"] * 16),
    conditioned("order_short", {}, "order must name every cell", order=[0, 1]),
    conditioned("classes", {"kind": "class", "num_classes": 10**6}, "num_classes - 1 999999", "vocab_size 32"),
    conditioned("label", {"kind": "class", "num_classes": 3, "null_label": 10**9}, "null_label 1000000000"),
    conditioned(
        "vocabulary",
        {"kind": "class", "num_classes": 3, "vocabulary": "../../../etc/passwd"},
        "no vocabulary",
        "passwd",
    ),
    conditioned("vocabulary_size", {"kind": "class", "num_classes": 3, "vocabulary": "imagenet"}, "1000", "3"),
    conditioned("coordinates", {"kind": "coordinates", "num_codes": 10**9, "down_factor": 2}, "num_codes - 1"),
    conditioned("no_coordinates", {"kind": "coordinates"}, "num_codes and down_factor", grid=[2, 2]),
    lying(
        "scaled",
        "downsample_cond_size 1073741824",
        config=converted()["config"]  # type: ignore[operator]
        | {"condition": {"kind": "segmentation", "num_classes": 5, "downsample_cond_size": 2**30}},
    ),
    conditioned("kind", {"kind": "os.system"}, "expected one of"),
    conditioned("boxes_none", {"kind": "boxes"}, "boxes"),
    boxes("objects", {"max_objects": 2**31 - 1}, "does not fit block_size"),
    boxes("tokens", {"num_tokens": 2**31 - 1}, "boxes: num_tokens - 1"),
    boxes("classes", {"num_classes": 10**6}, "num_tokens 32 and num_classes 1000000"),
    boxes("list", {"max_objects": [1]}, "max_objects: expected a whole number"),
    boxes("flags", {"use_additional_parameters": True, "num_classes": 20}, "the last object 299", grid=[3, 3]),
]
TOKENIZERS = [  # for the VQGAN loader
    remapped("beyond", torch.tensor([0, 24]), "0 to 24", "0 to 23"),
    remapped("negative", torch.tensor([-1, 3]), "-1 to 3"),
    remapped("nan", torch.tensor([float("nan"), 1.0]), "each code once"),
    remapped("half", torch.tensor([0.5, 1.0]), "each code once"),
    remapped("matrix", torch.zeros(2, 2), "1 sides are needed"),
    remapped("endless", torch.zeros(1_000_000), "each code once"),
    Hostile(
        "remap_cosine.pt",
        lambda _: torch_bytes(
            vqgan_weights() | {"quantize.used": torch.tensor([1]), "quantize.codebook_used": torch.zeros(4)}
        ),
        ("num_used", "cosine"),
    ),
    Hostile(
        "llamagen_mixed.pt",
        lambda _: torch_bytes(
            {"model": vqgan_weights() | {"encoder.conv_blocks.0.res.0.norm1.weight": torch.ones(32)}}
        ),
        ("mixes two layouts",),
    ),
    Hostile(
        "llamagen_numbers.pt",
        lambda _: torch_bytes(
            {
                "model": vqgan_weights()
                | {f"decoder.conv_blocks.{9**9}.res.0.norm1.weight": torch.ones(32)}
                | {"encoder.conv_blocks.7.res.0.norm1.weight": torch.ones(32)}
            }
        ),
        ("llamagen_numbers.pt",),
    ),
    Hostile(
        "diffusers_mixed.bin",
        lambda _: torch_bytes(vqgan_weights() | {"encoder.down_blocks.0.resnets.0.norm1.weight": torch.ones(32)}),
        ("mixes two layouts",),
    ),
    Hostile(
        "ibq_average.ckpt",
        lambda _: torch_bytes(vqgan_weights() | {"model_ema.quant_convbias": torch.zeros(3)}),
        ("quant_conv.bias has (3,)",),
    ),
    Hostile(
        "ibq_nan.ckpt",
        lambda _: torch_bytes(vqgan_weights() | {"model_ema.quant_convbias": torch.full((8,), float("nan"))}),
        ("quant_conv.bias", "not finite"),
    ),
    Hostile(
        "janus_empty.bin",
        lambda _: torch_bytes({"gen_vision_model.encoder.conv_in.weight": torch.zeros(0, 3, 3, 3)}),
        ("janus_empty.bin",),
    ),
    Hostile(
        "flat_layout.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(num_used=30)),
        ("num_used 30",),
    ),
]
