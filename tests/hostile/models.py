"""Files that hold weights, of which no model of the asked kind can be built."""

from __future__ import annotations

import torch

from published import prefixed, transformer_weights, vqgan_weights

from .forge import Hostile, replaced, spoiled, torch_bytes, transformer_metadata, vqgan_metadata, weights_bytes

DIVERGED = "not finite"


def without_codebook() -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in vqgan_weights().items() if not key.startswith("quantize.")}


NOT_A_VQGAN = [  # for the VQGAN loader
    Hostile("nan.safetensors", lambda _: weights_bytes(spoiled(float("nan"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile("nan.ckpt", lambda _: torch_bytes(spoiled(float("nan"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile(
        "nan_half.safetensors",
        lambda _: weights_bytes(spoiled(float("nan"), torch.float16)),
        ("decoder.conv_in.weight", DIVERGED),
    ),
    Hostile("inf.safetensors", lambda _: weights_bytes(spoiled(float("-inf"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile(
        "integers.safetensors",
        lambda _: weights_bytes(replaced("quant_conv.bias", torch.zeros(8, dtype=torch.int64))),
        ("quant_conv.bias", "int64"),
    ),
    Hostile(
        "shape.safetensors",
        lambda _: weights_bytes(replaced("decoder.norm_out.weight", torch.zeros(64))),
        ("decoder.norm_out.weight has (64,) and needs (32,)",),
    ),
    Hostile(
        "zero_side.safetensors",
        lambda _: weights_bytes(replaced("encoder.conv_in.weight", torch.zeros(0, 3, 3, 3))),
        ("encoder.conv_in.weight", "(0, 3, 3, 3)"),
    ),
    Hostile(
        "flat.safetensors",
        lambda _: weights_bytes(replaced("encoder.conv_in.weight", torch.zeros(32))),
        ("encoder.conv_in.weight", "4 sides are needed"),
    ),
    Hostile(
        "narrow.safetensors", lambda _: weights_bytes(vqgan_weights(ch=24)), ("24, 48 channels", "multiples of 32")
    ),
    Hostile(
        "missing.safetensors",
        lambda _: weights_bytes({k: v for k, v in vqgan_weights().items() if k != "decoder.mid.block_1.conv1.weight"}),
        ("lacks 1 weight", "decoder.mid.block_1.conv1.weight"),
    ),
    Hostile(
        "no_decoder.safetensors",
        lambda _: weights_bytes({k: v for k, v in vqgan_weights().items() if not k.startswith("decoder.")}),
        ("lacks the weight decoder.conv_out.weight",),
    ),
    Hostile(
        "extra.safetensors",
        lambda _: weights_bytes(replaced("encoder.extra.weight", torch.zeros(1))),
        ("1 weight that the model does not have", "encoder.extra.weight"),
    ),
    Hostile(
        "levels.safetensors",
        lambda _: weights_bytes(
            vqgan_weights() | {f"encoder.down.{i}.block.0.conv1.weight": torch.zeros(1) for i in range(2, 500)}
        ),
        ("500 parts",),
    ),
    Hostile(
        "escape.safetensors",
        lambda _: weights_bytes(replaced("encoder.\x1b[2Jgone", torch.zeros(1))),
        (r"encoder.\x1b[2Jgone",),
    ),
    Hostile(
        "transformer.safetensors",
        lambda _: weights_bytes(transformer_weights()),
        ("holds no VQGAN", "Load Token Transformer node"),
    ),
    Hostile(
        "vae.safetensors",
        lambda _: weights_bytes(without_codebook() | {"encoder.conv_out.weight": torch.zeros(32, 64, 3, 3)}),
        ("no codebook", "Load VAE node"),
    ),
    Hostile(
        "no_codebook.safetensors",
        lambda _: weights_bytes(without_codebook()),
        ("no codebook", "incomplete", "whole VQGAN"),
    ),
    Hostile(
        "model-00001-of-00002.safetensors",
        lambda _: weights_bytes(without_codebook()),
        ("part 1 of 2", "as one file"),
    ),
    Hostile(
        "model-00002-of-00002.safetensors",
        lambda _: weights_bytes({"quantize.embedding.weight": torch.zeros(24, 8)}),
        ("part 2 of 2", "as one file"),
    ),
    Hostile(
        "diffusers.safetensors",
        lambda _: weights_bytes({"encoder.down_blocks.0.resnets.0.conv1.weight": torch.zeros(1)}),
        ("diffusers layout",),
    ),
    Hostile(
        "llamagen.pt",
        lambda _: torch_bytes({"model": {"encoder.conv_blocks.0.res.0.conv1.weight": torch.zeros(1)}}),
        ("LlamaGen",),
    ),
    Hostile(
        "other.safetensors", lambda _: weights_bytes({"fc.weight": torch.zeros(1)}), ("is not a VQGAN", "fc.weight")
    ),
    Hostile(
        "remapped.safetensors",
        lambda _: weights_bytes(replaced("quantize.used", torch.zeros(4, dtype=torch.int64))),
        ("remapped codebook",),
    ),
    Hostile("json.safetensors", lambda _: weights_bytes(vqgan_weights(), "{not json"), ("not valid JSON",)),
    Hostile("deep_json.safetensors", lambda _: weights_bytes(vqgan_weights(), 100_000 * "["), ("not valid JSON",)),
    Hostile("list.safetensors", lambda _: weights_bytes(vqgan_weights(), [1, 2]), ("no format number",)),
    Hostile("future.safetensors", lambda _: weights_bytes(vqgan_weights(), {"format": 99}), ("format 99", "update")),
    Hostile(
        "model.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata() | {"model": "os.system"}),
        ("names the model 'os.system'",),
    ),
    Hostile(
        "typo.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(n_embd=24)),
        ("unknown name 'n_embd'", "did you mean n_embed"),
    ),
    Hostile(
        "text.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(ch="32")),
        ("ch: expected a whole number", "'32'"),
    ),
    Hostile(
        "liar.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(n_embed=1_000_000_000)),
        ("n_embed 1000000000, the weights have 24",),
    ),
]
NOT_A_TRANSFORMER = [  # for the transformer loader
    Hostile("vqgan.safetensors", lambda _: weights_bytes(vqgan_weights()), ("holds no transformer", "Load VQGAN node")),
    Hostile(
        "vqgan_wrapped.ckpt",
        lambda _: torch_bytes({"state_dict": prefixed("first_stage_model.", vqgan_weights())}),
        ("holds no transformer", "Load VQGAN node"),
    ),
    Hostile("unknown.safetensors", lambda _: weights_bytes(transformer_weights()), ("conditioned on", "YAML")),
    Hostile(
        "coordinates.safetensors",
        lambda _: weights_bytes(transformer_weights(block_size=512)),
        ("no published model", "block size 512"),
    ),
    Hostile("odd.safetensors", lambda _: weights_bytes(transformer_weights(n_embd=40)), ("n_head", "width 40")),
    Hostile(
        "gpt2.safetensors", lambda _: weights_bytes({"transformer.wte.weight": torch.zeros(1)}), ("GPT-2 language",)
    ),
    Hostile(
        "segmentation.ckpt",
        lambda _: torch_bytes(
            prefixed("transformer.", transformer_weights()) | prefixed("cond_stage_model.", vqgan_weights())
        ),
        ("256 tokens of condition does not fit block_size 16",),
    ),
    Hostile(
        "permuted.ckpt",
        lambda _: torch_bytes(
            prefixed("transformer.", transformer_weights()) | {"permuter.forward_shuffle_idx": torch.arange(4)}
        ),
        ("no published model", "YAML"),
    ),
    Hostile(
        "heads.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_head=5)),
        ("n_head=5",),
    ),
    Hostile(
        "no_heads.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_head=0)),
        ("n_head: expected a whole number of 1 or more",),
    ),
    Hostile(
        "layers.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_layer=10**9)),
        ("n_layer 1000000000, the weights have 2",),
    ),
    Hostile(
        "grid.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(grid=[64, 64])),
        ("64 x 64", "block_size 16"),
    ),
    Hostile(
        "start.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(condition={"sos_token": 32})),
        ("sos_token 32", "vocab_size 32"),
    ),
    *(
        Hostile(
            f"stage_{i}.safetensors",
            lambda _, file=file: weights_bytes(
                transformer_weights(masks=False), transformer_metadata({"file": file, "codebook": "00"})
            ),
            ("not a bare file name",),
        )
        for i, file in enumerate(("../secret.safetensors", "/etc/passwd", "a\\b.ckpt", "C:x.ckpt", "..", "", "a\0b"))
    ),
    Hostile(
        "lonely.safetensors",
        lambda _: weights_bytes(
            transformer_weights(masks=False), transformer_metadata({"file": "tokenizer.ckpt", "codebook": "00"})
        ),
        ("tokenizer.ckpt", "not beside it"),
    ),
]
