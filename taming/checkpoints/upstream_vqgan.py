"""Published configurations of VQGANs as configurations of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.vqgan import QuantizerKind, VQModelConfig
from ..modules.autoencoder import AutoencoderConfig
from ..text import shorten
from .upstream import check_target, mapping, model_node, params_of
from .upstream_diffusers import check_fixed, diffusers_config

VQGAN_TARGETS: dict[str, QuantizerKind] = {
    "taming.models.vqgan.VQModel": "vq",
    "taming.models.vqgan.VQSegmentationModel": "vq",
    "taming.models.vqgan.GumbelVQ": "gumbel",
    "taming.models.vqgan.EMAVQ": "ema",
    "ldm.models.autoencoder.VQModel": "vq",
    "ldm.models.autoencoder.VQModelInterface": "vq",
    "src.IBQ.models.ibqgan.IBQ": "dot",
    "OpenImageTokenizer.IBQ.models.ibqgan.IBQ": "dot",
}
VQGAN_KNOWN = frozenset({"ddconfig", "n_embed", "embed_dim", "remap", "kl_weight", "beta"})
VQGAN_IGNORED = frozenset(
    {"lossconfig", "ckpt_path", "ignore_keys", "image_key", "colorize_nlabels", "n_labels", "monitor"}
    | {"sane_index_shape", "temperature_scheduler_config", "batch_resize_range", "scheduler_config", "lr_g_factor"}
    | {"use_ema", "learning_rate", "resume_lr", "lr_drop_epoch", "lr_drop_rate", "warmup_epochs", "scheduler_type"}
    | {"min_learning_rate", "gradient_clip_val", "stage", "use_entropy_loss", "entropy_temperature"}
    | {"sample_minimization_weight", "batch_maximization_weight", "cosine_similarity"}
)
VQGAN_FIXED = {"l2_normalize": False}
DDCONFIG_FIXED = {"double_z": False, "give_pre_end": False, "use_linear_attn": False}
MID_ATTENTION = {"vanilla": True, "none": False}  # by `attn_type`
PUBLISHED_KL_WEIGHT = 1e-8  # the reference's default where the file does not say
WHOLE_MODEL_TARGETS = (  # only for their first stage
    "taming.models.cond_transformer.Net2NetTransformer",
    "ldm.models.diffusion.ddpm.LatentDiffusion",
)


def vqgan_config(values: Mapping[str, Any], where: str, num_used: int = 0) -> VQModelConfig:
    """The VQGAN that `values` describe: a published configuration (or its first stage), or the fields themselves.

    `num_used` is the length of `quantize.used` in the weights: of a remap, a published configuration says only that
    there is one.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = model_node(values)
    if "class_path" in node:  # Lightning's own spelling
        node = {"target": node["class_path"], "params": node.get("init_args")}
    if "_class_name" in node:
        return diffusers_config(node, where)
    if "target" not in node:
        return config_from_dict(VQModelConfig, node, where)
    target = check_target(node, (*VQGAN_TARGETS, *WHOLE_MODEL_TARGETS), where)
    params = params_of(node, where)
    if target not in VQGAN_TARGETS:
        first_stage = mapping(params.get("first_stage_config"), f"{where}: first_stage_config")
        return vqgan_config(first_stage, f"{where}: first_stage_config", num_used)
    return _published_config(VQGAN_TARGETS[target], params, where, num_used)


def _published_config(quantizer: QuantizerKind, params: Mapping[str, Any], where: str, num_used: int) -> VQModelConfig:
    check_names(params, VQGAN_KNOWN | VQGAN_IGNORED | set(VQGAN_FIXED), where)
    check_fixed(params, VQGAN_FIXED, where)
    given = {name: params[name] for name in ("n_embed", "embed_dim", "beta") if name in params}
    if quantizer == "gumbel":
        given["kl_weight"] = params.get("kl_weight", PUBLISHED_KL_WEIGHT)
    if params.get("remap") is not None:
        if not num_used:
            raise ConfigError(
                f"{where}: a remapped codebook (remap: {shorten(params['remap'])}) needs the list of its codes, "
                "'quantize.used', and the weights have none."
            )
        given["num_used"] = num_used
    layout = _layout(mapping(params.get("ddconfig"), f"{where}: ddconfig"), f"{where}: ddconfig")
    return config_from_dict(VQModelConfig, {**layout, **given, "quantizer": quantizer}, where)


def _layout(ddconfig: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = {field.name for field in fields(AutoencoderConfig)} - {"mid_attention"}
    check_names(ddconfig, names | set(DDCONFIG_FIXED) | {"attn_type"}, where)
    check_fixed(ddconfig, DDCONFIG_FIXED, where)
    attn_type = ddconfig.get("attn_type", "vanilla")
    if attn_type not in MID_ATTENTION:
        raise ConfigError(
            f"{where}: attn_type: {shorten(attn_type)} is not supported, only {', '.join(MID_ATTENTION)}."
        )
    layout = {name: value for name, value in ddconfig.items() if name in names}
    if not MID_ATTENTION[attn_type]:  # nor is there any on the levels
        layout |= {"mid_attention": False, "attn_resolutions": ()}
    return layout
