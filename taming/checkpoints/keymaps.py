"""Where published files keep the parts of a model, as data."""

from typing import Literal

Family = Literal["vqgan", "transformer"]

# The key that every file of a family has; what stands before it is the prefix of the whole model.
ANCHORS: dict[Family, str] = {"vqgan": "encoder.conv_in.weight", "transformer": "tok_emb.weight"}

# Prefixes in order of preference. A conditioning model (`cond_stage_model.`) is on purpose not among them.
PREFIXES: dict[Family, tuple[str, ...]] = {
    "vqgan": ("", "first_stage_model.", "model.", "module.", "_orig_mod.", "vqgan.", "model.first_stage_model."),
    "transformer": ("", "transformer.", "model.", "module.", "_orig_mod.", "model.transformer.", "module.transformer."),
}

CODEBOOK_KEYS = ("quantize.embedding.weight", "quantize.embed.weight")  # nearest neighbor and EMA; Gumbel

# Keys (regular expressions) that only training or logging used.
TRAINING_ONLY: dict[Family, str] = {
    "vqgan": r"loss\..+|colorize|model_ema\..+",
    "transformer": r"blocks\.\d+\.attn\.mask",
}

# Parts of a whole Net2Net checkpoint that this version cannot honor, and what they do.
UNSUPPORTED_PARTS = {
    "cond_stage_model.": "a transformer conditioned on images (segmentation or depth)",
    "permuter.": "a transformer that draws its tokens in a permuted order",
}

# Keys (regular expressions) of files that resemble ours: what they are.
OTHER_FAMILIES = {
    r"(.*\.)?encoder\.down_blocks\..+": "an autoencoder in the diffusers layout",
    r"(.*\.)?encoder\.conv_blocks\..+": "a LlamaGen tokenizer",
    r"(.*\.)?encoder\.model\.\d+\..+": "a VQGAN in the layout of dome272/VQGAN-pytorch",
    r"model\.diffusion_model\..+": "a diffusion model",
    r"(transformer\.)?(wte|h\.0)\..+": "a GPT-2 language model",
    r"(main|model)\.0\.weight": "a discriminator or a plain sequence of layers",
    r".*\.lora_(up|down|A|B)\..+": "a LoRA",
}
