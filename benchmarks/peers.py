"""What the samplers are measured against, with the same weights where they are given any, else of the same shape."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from devtools.reference import reference_imports
from taming.models import Transformer, TransformerConfig, VQModel
from taming.modules.autoencoder import AutoencoderConfig


def top_k_top_p_filtering(logits: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """What the reference takes from transformers 4.3.1; later versions have no such function."""
    if top_k > 0:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -float("inf"))
    ordered, order = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) > top_p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    return logits.masked_fill(remove.scatter(-1, order, remove), -float("inf"))


STUBS = {  # the reference imports these and needs no more of them for what is measured here
    "pytorch_lightning": {"LightningModule": nn.Module},
    "transformers": {"top_k_top_p_filtering": top_k_top_p_filtering},
    "taming.main": {"instantiate_from_config": lambda config: nn.Identity()},
}


@dataclass(frozen=True)
class ReferenceGPT:
    """The reference's transformer and its cached sampling loop."""

    gpt: nn.Module
    sample_with_past: Any

    def draw_tokens(self, prefix: Tensor, num_tokens: int, top_k: int | None = None, greedy: bool = False) -> Tensor:
        """Tokens after `prefix` (B, S): (B, num_tokens)."""
        settings = {"sample_logits": not greedy, "top_k": top_k, "top_p": 1.0}
        return self.sample_with_past(prefix, self.gpt, steps=num_tokens, **settings)

    def take_weights(self, transformer: Transformer) -> None:
        masks = {key: mask for key, mask in self.gpt.state_dict().items() if key.endswith("attn.mask")}
        self.gpt.load_state_dict({**masks, **transformer.state_dict()})


def make_reference_gpt(folder: Path, config: TransformerConfig) -> ReferenceGPT:
    """The reference's transformer in the shape of ours, with random weights."""
    with reference_imports(folder, STUBS), redirect_stdout(StringIO()):
        mingpt = importlib.import_module("taming.modules.transformer.mingpt")
        sizes = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        gpt = mingpt.GPT(**{name: getattr(config, name) for name in sizes}).eval()
    return ReferenceGPT(gpt, mingpt.sample_with_past)


@dataclass(frozen=True)
class ReferenceVQGAN:
    """The reference's tokenizer."""

    vqgan: Any

    @torch.no_grad()
    def decode(self, tokens: Tensor, grid: tuple[int, int], dim: int) -> Tensor:
        """Tokens (B, L) to pixels (B, 3, H, W)."""
        z_q = self.vqgan.quantize.get_codebook_entry(tokens.reshape(-1), shape=(len(tokens), *grid, dim))
        return self.vqgan.decode(z_q)


def load_reference_vqgan(folder: Path, vqgan: VQModel) -> ReferenceVQGAN:
    """The reference's tokenizer in the shape of ours, with our weights."""
    with reference_imports(folder, STUBS), redirect_stdout(StringIO()):
        models = importlib.import_module("taming.models.vqgan")
        names = {field.name for field in fields(AutoencoderConfig)} - {"dropout"}
        ddconfig = {"double_z": False, **{name: getattr(vqgan.config, name) for name in names}}
        theirs = models.VQModel(ddconfig, {}, vqgan.config.n_embed, vqgan.config.embed_dim).eval()
    # The reference's quantizer has no running averages; the codes are all that decoding needs.
    theirs.load_state_dict({key: vqgan.state_dict()[key] for key in theirs.state_dict()})
    return ReferenceVQGAN(theirs)


def has_transformers() -> bool:
    return importlib.util.find_spec("transformers") is not None


def make_gpt2(config: TransformerConfig) -> Any:
    """A GPT-2 of the transformers package in the shape of ours, with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.block_size + 1,  # it counts the last token too, which is never read
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        activation_function="gelu",
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(shape).eval()


@torch.no_grad()
def draw_with_gpt2(
    gpt2: Any, prefix: Tensor, num_tokens: int, *, top_k: int = 0, greedy: bool = False, static: bool = False
) -> Tensor:
    """Tokens after `prefix` (B, S) by the package's own cached `generate`: (B, num_tokens)."""
    choice = {"do_sample": False} if greedy else {"do_sample": True, "top_k": top_k}
    cache = {"cache_implementation": "static"} if static else {}
    length = {"min_new_tokens": num_tokens, "max_new_tokens": num_tokens}
    mask = torch.ones_like(prefix)
    drawn = gpt2.generate(prefix, attention_mask=mask, pad_token_id=0, **length, **choice, **cache)
    return drawn[:, prefix.shape[1] :]


def give_gpt2(gpt2: nn.Module, transformer: Transformer) -> None:
    """Load our weights into a GPT-2 of the same shape; its projections are fused, and stored (I, O)."""
    ours = transformer.state_dict()
    theirs = {
        "transformer.wte.weight": ours["tok_emb.weight"],
        "transformer.wpe.weight": F.pad(ours["pos_emb"][0], (0, 0, 0, 1)),
        "transformer.ln_f.weight": ours["ln_f.weight"],
        "transformer.ln_f.bias": ours["ln_f.bias"],
        "lm_head.weight": ours["head.weight"],
    }
    names = {"ln1": "ln_1", "ln2": "ln_2", "attn.proj": "attn.c_proj", "mlp.0": "mlp.c_fc", "mlp.2": "mlp.c_proj"}
    for i in range(transformer.config.n_layer):
        for kind in ("weight", "bias"):
            fused = [ours[f"blocks.{i}.attn.{name}.{kind}"] for name in ("query", "key", "value")]
            theirs[f"transformer.h.{i}.attn.c_attn.{kind}"] = torch.cat(fused).t()
            for name, their_name in names.items():
                theirs[f"transformer.h.{i}.{their_name}.{kind}"] = ours[f"blocks.{i}.{name}.{kind}"].t()
    gpt2.load_state_dict(theirs)
