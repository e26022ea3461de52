"""What the samplers are measured against, with the same weights or at least the same shape."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from devtools.reference import reference_imports
from taming.models import Transformer, VQModel
from taming.modules.layout import ConvLayout

STUBS = {  # the reference imports these and needs nothing of them for what is measured here
    "pytorch_lightning": {"LightningModule": nn.Module},
    "transformers": {"top_k_top_p_filtering": None},
    "taming.main": {"instantiate_from_config": lambda config: nn.Identity()},
}


@dataclass(frozen=True)
class Reference:
    """The reference's own code, holding our weights."""

    gpt: nn.Module
    vqgan: Any
    sample_with_past: Any

    def draw_tokens(self, prefix: Tensor, num_tokens: int, greedy: bool = False) -> Tensor:
        """Tokens after `prefix` (B, S): (B, num_tokens)."""
        return self.sample_with_past(prefix, self.gpt, steps=num_tokens, sample_logits=not greedy)

    @torch.no_grad()
    def decode(self, tokens: Tensor, grid: tuple[int, int], dim: int) -> Tensor:
        """Tokens (B, L) to pixels (B, 3, H, W)."""
        z_q = self.vqgan.quantize.get_codebook_entry(tokens.reshape(-1), shape=(len(tokens), *grid, dim))
        return self.vqgan.decode(z_q)


def load_reference(folder: Path, transformer: Transformer, vqgan: VQModel) -> Reference:
    """Build the reference's models in the shape of ours and give them our weights."""
    with reference_imports(folder, STUBS), redirect_stdout(StringIO()):
        mingpt = importlib.import_module("taming.modules.transformer.mingpt")
        models = importlib.import_module("taming.models.vqgan")
        config = transformer.config
        sizes = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        gpt = mingpt.GPT(**{name: getattr(config, name) for name in sizes}).eval()
        names = {field.name for field in fields(ConvLayout)} - {"dropout"}
        ddconfig = {"double_z": False, **{name: getattr(vqgan.config, name) for name in names}}
        theirs = models.VQModel(ddconfig, {}, vqgan.config.n_embed, vqgan.config.embed_dim).eval()
    masks = {key: mask for key, mask in gpt.state_dict().items() if key.endswith("attn.mask")}
    gpt.load_state_dict({**masks, **transformer.state_dict()})
    # The reference's quantizer has no running averages; the codes are all that decoding needs.
    theirs.load_state_dict({key: vqgan.state_dict()[key] for key in theirs.state_dict()})
    return Reference(gpt, theirs, mingpt.sample_with_past)


def make_gpt2(transformer: Transformer) -> nn.Module | None:
    """A GPT-2 of the same shape from the transformers package, with random weights; None where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import GPT2Config, GPT2LMHeadModel

    config = transformer.config
    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.block_size + 1,
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
def draw_with_gpt2(gpt2: Any, prefix: Tensor, num_tokens: int) -> Tensor:
    """Tokens after `prefix` (B, S) by the package's own cached `generate`: (B, num_tokens)."""
    drawn = gpt2.generate(
        prefix,
        attention_mask=torch.ones_like(prefix),
        do_sample=True,
        top_k=0,
        min_new_tokens=num_tokens,
        max_new_tokens=num_tokens,
        pad_token_id=0,
    )
    return drawn[:, prefix.shape[1] :]
