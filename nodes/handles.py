"""From planned weights to what travels between the nodes."""

from __future__ import annotations

from ..taming.checkpoints import TransformerPlan, VQGANPlan, codebook_fingerprint
from ..taming.models import Precision
from . import host
from .model_cache import shared
from .types import Tokenizer, TransformerHandle, VQGANHandle


def vqgan_handle(plan: VQGANPlan, name: str) -> VQGANHandle:
    """A VQGAN under the host's management; messages call it `name`.

    Its weights are shared with every other handle of the same weights, such as the first stage of two transformers.
    """
    config, origin = plan.config, plan.origin
    tokenizer = Tokenizer(name, codebook_fingerprint(plan.state_dict), config.num_tokens, config.factor)
    if origin is None:
        return VQGANHandle(host.place_vqgan(plan), config, tokenizer)
    title = f"The {origin.part} of {origin.file.path.name}"
    return VQGANHandle(shared((origin, config), title, lambda: host.place_vqgan(plan)), config, tokenizer)


def transformer_handle(plan: TransformerPlan, name: str, precision: Precision = "auto") -> TransformerHandle:
    """A transformer under the host's management, with its stages; messages call it `name`."""
    first_stage = plan.first_stage and vqgan_handle(plan.first_stage, f"the VQGAN of {name}")
    if plan.cond_stage is plan.first_stage:
        cond_stage = first_stage
    else:
        cond_stage = plan.cond_stage and vqgan_handle(plan.cond_stage, f"the VQGAN of the maps of {name}")
    patcher = host.place_transformer(plan, precision)
    return TransformerHandle(patcher, plan.config, name, first_stage, cond_stage, precision)
