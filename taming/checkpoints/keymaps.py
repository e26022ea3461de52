"""Where published files keep the parts of a model, as data."""

from typing import Literal

Family = Literal["vqgan", "transformer"]

# The key that every file of a family has; what stands before it is the prefix of the model.
ANCHORS: dict[Family, str] = {"vqgan": "encoder.conv_in.weight", "transformer": "tok_emb.weight"}

# Prefixes of published files in order of preference. Any other is found too, where a whole model lies under it.
PREFIXES: dict[Family, tuple[str, ...]] = {
    "vqgan": (
        *("", "first_stage_model.", "model.", "vqgan.", "model.first_stage_model."),
        *("gen_vision_model.", "stage1."),  # in Janus and minDALL-E
    ),
    "transformer": ("", "transformer.", "model.", "model.transformer."),
}

CODEBOOK_KEYS = ("quantize.embedding.weight", "quantize.embed.weight")  # nearest neighbor and EMA; Gumbel
USED_KEY = "quantize.used"  # the codes that have a token, where a remap leaves some out

# Keys (regular expressions) that only training or logging used.
TRAINING_ONLY: dict[Family, str] = {
    "vqgan": r"loss\..+|colorize|model_ema\..+|quantize\.codebook_used",
    "transformer": r"blocks\.\d+\.attn\.mask",
}

# Keys (regular expressions) of files that hold no model of ours: what they are.
OTHER_FAMILIES = {
    r"(.*\.)?encoder\.down_blocks\..+": "an incomplete autoencoder in the diffusers layout",
    r"(.*\.)?encoder\.conv_blocks\..+": "an incomplete LlamaGen tokenizer",
    r"(.*\.)?encoder\.model\.\d+\..+": "a VQGAN in the layout of dome272/VQGAN-pytorch",
    r"model\.diffusion_model\..+": "a diffusion model",
    r"(transformer\.)?(wte|h\.0)\..+": "a GPT-2 language model",
    r"(main|model)\.0\.weight": "a discriminator or a plain sequence of layers",
    r".*\.lora_(up|down|A|B)\..+": "a LoRA",
}

# The same for models that have the anchor of a VQGAN too, under its published keys.
OTHER_VQGANS = {
    r"quantize\.(quant_resi|ema_vocab_hit_SV).*": "the tokenizer of VAR, whose tokens are ten grids of different sizes "
    "that add up, not one grid",
    r"quantizer\.codebooks\..+": "an RQ-VAE, which gives every cell several tokens, not one",
    r".*\.norm\w*\.conv_[yb]\..+": "a MoVQ tokenizer (Kandinsky, Emu3), whose decoder is normalized by its tokens",
    r"(encoder|decoder)\.mid_block\.\d+\..+": "an Open-MAGVIT2 tokenizer, which has other layers",
    r"encoder\.quant_conv\..+": "the tokenizer of Show-o (MAGVIT-v2), which has no learned codebook",
    r"(encoder|decoder)\.mid\.\d+\..+": "a MaskGIT-VQGAN, which has other layers",
    r".*\.to_qkv\..+": "an autoencoder with linear attention",
}
