"""State dicts in the key layout of the published checkpoints, written down from that layout alone.

Nothing of `taming` is imported, so that tests through a running host can use it too.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def vqgan_weights(seed: int = 0, **sizes: Any) -> dict[str, Tensor]:
    """Random weights of a VQGAN of `vqgan_shapes(**sizes)`."""
    return fill(vqgan_shapes(**sizes), seed)


def vqgan_shapes(
    *,
    ch: int = 32,
    ch_mult: Sequence[int] = (1, 2),
    num_res_blocks: int = 1,
    attn_levels: Sequence[int] = (1,),
    z_channels: int = 16,
    embed_dim: int = 8,
    n_embed: int = 24,
    channels: int = 3,
    quantizer: str = "vq",
    mid_attention: bool = True,
) -> Shapes:
    """Every weight of a VQGAN; two levels by default, so f=2."""
    widths = [ch * m for m in ch_mult]
    shapes: Shapes = {}
    for coder, in_channels, out_channels in (("encoder", channels, z_channels), ("decoder", z_channels, channels)):
        first, last = (ch, widths[-1]) if coder == "encoder" else (widths[-1], widths[0])
        shapes |= conv(f"{coder}.conv_in", first, in_channels, 3)
        shapes |= middle(f"{coder}.mid", widths[-1], mid_attention)
        shapes |= norm(f"{coder}.norm_out", last) | conv(f"{coder}.conv_out", out_channels, last, 3)
    for i, width in enumerate(widths):
        before, after = ([ch, *widths][i], [*widths, widths[-1]][i + 1])
        shapes |= level(f"encoder.down.{i}", before, width, num_res_blocks, i in attn_levels)
        shapes |= level(f"decoder.up.{i}", after, width, num_res_blocks + 1, i in attn_levels)
        if i < len(widths) - 1:
            shapes |= conv(f"encoder.down.{i}.downsample.conv", width, width, 3)
        if i > 0:
            shapes |= conv(f"decoder.up.{i}.upsample.conv", width, width, 3)
    shapes |= conv("quant_conv", embed_dim, z_channels, 1) | conv("post_quant_conv", z_channels, embed_dim, 1)
    if quantizer == "gumbel":
        shapes |= conv("quantize.proj", n_embed, embed_dim, 1) | {"quantize.embed.weight": (n_embed, embed_dim)}
    else:
        shapes["quantize.embedding.weight"] = (n_embed, embed_dim)
    if quantizer == "ema":
        shapes |= {"quantize.embedding.cluster_size": (n_embed,), "quantize.embedding.embed_avg": (n_embed, embed_dim)}
    return shapes


def transformer_weights(seed: int = 0, n_unmasked: int = 0, masks: bool = True, **sizes: Any) -> dict[str, Tensor]:
    """Random weights of a transformer of `transformer_shapes(**sizes)`, with the masks that published files carry."""
    weights = fill(transformer_shapes(**sizes), seed)
    block_size = weights["pos_emb"].shape[1]
    mask = torch.ones(1, 1, block_size, block_size).tril()
    mask[:, :, :n_unmasked, :n_unmasked] = 1
    layers = [key.removesuffix(".ln1.weight") for key in weights if key.endswith(".ln1.weight")]
    return weights | {f"{layer}.attn.mask": mask.clone() for layer in layers if masks}


def transformer_shapes(*, vocab_size: int = 32, block_size: int = 16, n_layer: int = 2, n_embd: int = 32) -> Shapes:
    """Every weight of a transformer."""
    shapes: Shapes = {"tok_emb.weight": (vocab_size, n_embd), "pos_emb": (1, block_size, n_embd)}
    for i in range(n_layer):
        for part in ("ln1", "ln2"):
            shapes |= norm(f"blocks.{i}.{part}", n_embd)
        for part in ("key", "query", "value", "proj"):
            shapes |= linear(f"blocks.{i}.attn.{part}", n_embd, n_embd)
        shapes |= linear(f"blocks.{i}.mlp.0", 4 * n_embd, n_embd) | linear(f"blocks.{i}.mlp.2", n_embd, 4 * n_embd)
    return shapes | norm("ln_f", n_embd) | {"head.weight": (vocab_size, n_embd)}


def net2net_weights(first_stage: dict[str, Tensor], transformer: dict[str, Tensor]) -> dict[str, Tensor]:
    """A whole transformer checkpoint, as `Net2NetTransformer` saves it."""
    return prefixed("first_stage_model.", first_stage) | prefixed("transformer.", transformer)


def prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in weights.items()}


def vqgan_yaml(target: str = "taming.models.vqgan.VQModel", **params: object) -> dict[str, object]:
    """The published configuration of `vqgan_weights()`; `params` replace or extend its parameters."""
    ddconfig = {
        **{"double_z": False, "z_channels": 16, "resolution": 8, "in_channels": 3, "out_ch": 3, "ch": 32},
        **{"ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [4], "dropout": 0.0},
    }
    loss = {"target": "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator", "params": {"disc_start": 1}}
    defaults = {"embed_dim": 8, "n_embed": 24, "ddconfig": ddconfig, "lossconfig": loss}
    return {"model": {"base_learning_rate": 4.5e-6, "target": target, "params": {**defaults, **params}}}


def net2net_yaml(cond_stage: object = "__is_unconditional__", **params: object) -> dict[str, object]:
    """The published configuration of `net2net_weights(vqgan_weights(), transformer_weights())`."""
    gpt = {"vocab_size": 32, "block_size": 16, "n_layer": 2, "n_head": 4, "n_embd": 32}
    defaults = {
        "first_stage_key": "image",
        "cond_stage_key": "image",
        "transformer_config": {"target": "taming.modules.transformer.mingpt.GPT", "params": gpt},
        "first_stage_config": vqgan_yaml()["model"],
        "cond_stage_config": cond_stage,
    }
    target = "taming.models.cond_transformer.Net2NetTransformer"
    return {"model": {"base_learning_rate": 0.06, "target": target, "params": {**defaults, **params}}}


def fill(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {key: 0.05 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def linear(name: str, out_features: int, in_features: int) -> Shapes:
    return {f"{name}.weight": (out_features, in_features), f"{name}.bias": (out_features,)}


def conv(name: str, out_channels: int, in_channels: int, size: int) -> Shapes:
    return {f"{name}.weight": (out_channels, in_channels, size, size), f"{name}.bias": (out_channels,)}


def resnet(name: str, in_channels: int, out_channels: int) -> Shapes:
    shapes = norm(f"{name}.norm1", in_channels) | conv(f"{name}.conv1", out_channels, in_channels, 3)
    shapes |= norm(f"{name}.norm2", out_channels) | conv(f"{name}.conv2", out_channels, out_channels, 3)
    if in_channels != out_channels:
        shapes |= conv(f"{name}.nin_shortcut", out_channels, in_channels, 1)
    return shapes


def attention(name: str, channels: int) -> Shapes:
    shapes = norm(f"{name}.norm", channels)
    for part in ("q", "k", "v", "proj_out"):
        shapes |= conv(f"{name}.{part}", channels, channels, 1)
    return shapes


def middle(name: str, channels: int, attended: bool) -> Shapes:
    blocks = resnet(f"{name}.block_1", channels, channels) | resnet(f"{name}.block_2", channels, channels)
    return blocks | (attention(f"{name}.attn_1", channels) if attended else {})


def level(name: str, in_channels: int, out_channels: int, num_blocks: int, attended: bool) -> Shapes:
    shapes: Shapes = {}
    for i in range(num_blocks):
        shapes |= resnet(f"{name}.block.{i}", in_channels if i == 0 else out_channels, out_channels)
        shapes |= attention(f"{name}.attn.{i}", out_channels) if attended else {}
    return shapes
