"""Saving: a file says what it is, comes back equal, and is never half written."""

import json

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from published import vqgan_weights
from taming.checkpoints import (
    codebook_fingerprint,
    load_checkpoint,
    load_transformer,
    load_vqgan,
    plan_vqgan,
    read_checkpoint,
    save_checkpoint,
)
from taming.checkpoints.metadata import config_to_dict
from taming.conditioning import ClassCondition
from taming.configs import config_from_dict
from taming.errors import CheckpointError, ConfigError, TokensError
from taming.models.transformer import Transformer, TransformerConfig
from taming.models.vqgan import VQModel, VQModelConfig

CLASSES = ClassCondition(num_classes=3, class_names=("alpine", "beach", "n\u00e4chtlich"), null_label=3)
CONFIGS = [
    *(
        VQModelConfig(
            n_embed=24,
            embed_dim=8,
            ch=32,
            ch_mult=(1, 2),
            num_res_blocks=1,
            attn_resolutions=(64,),
            resolution=128,
            z_channels=16,
            dropout=0.1,
            quantizer=quantizer,
            legacy=False,
        )
        for quantizer in ("vq", "gumbel", "ema")
    ),
    TransformerConfig(32, 16, 2, 4, 32, resid_pdrop=0.1, n_unmasked=2, grid=(2, 8), condition=CLASSES),
    TransformerConfig(32, 16, 1, 2, 32, context_dim=12, grid=(4, 4)),
]


def build(config: VQModelConfig | TransformerConfig) -> VQModel | Transformer:
    torch.manual_seed(0)
    return VQModel(config) if isinstance(config, VQModelConfig) else Transformer(config)


@pytest.fixture
def vqgan() -> VQModel:
    model = build(CONFIGS[0])
    assert isinstance(model, VQModel)
    return model


@pytest.fixture
def transformer() -> Transformer:
    model = build(CONFIGS[3])
    assert isinstance(model, Transformer)
    return model


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_saved_model_comes_back_equal_with_its_configuration(config, tmp_path):
    model, path = build(config), tmp_path / "model.safetensors"
    save_checkpoint(model, path)
    loaded = load_checkpoint(path)
    assert type(loaded) is type(model) and loaded.config == config
    expected, found = model.state_dict(), loaded.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_configuration_survives_json(config):
    assert config_from_dict(type(config), json.loads(json.dumps(config_to_dict(config))), "x") == config


def test_half_precision_halves_the_file(vqgan, tmp_path):
    save_checkpoint(vqgan, tmp_path / "full.safetensors")
    save_checkpoint(vqgan, tmp_path / "half.safetensors", dtype=torch.float16)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.52 * full
    loaded = load_vqgan(tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_extra_metadata_is_kept_and_ours_cannot_be_overwritten(vqgan, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(vqgan, path, extra={"license": "MIT"})
    assert read_checkpoint(path).metadata["license"] == "MIT"
    with pytest.raises(ConfigError, match="taming"):
        save_checkpoint(vqgan, path, extra={"taming": "{}"})


def test_a_transformer_brings_the_tokenizer_that_it_names(vqgan, transformer, tmp_path):
    save_checkpoint(vqgan, tmp_path / "tokenizer.safetensors", dtype=torch.float16)
    path = tmp_path / "transformer.safetensors"
    save_checkpoint(transformer, path, first_stage=tmp_path / "tokenizer.safetensors")
    assert json.loads(read_checkpoint(path).metadata["taming"])["first_stage"]["file"] == "tokenizer.safetensors"
    loaded, first_stage = load_transformer(path)
    assert loaded.config == transformer.config
    assert first_stage is not None and first_stage.config == vqgan.config


def test_a_fine_tuned_decoder_still_fits_and_another_codebook_does_not(vqgan, transformer, tmp_path):
    tokenizer, path = tmp_path / "tokenizer.safetensors", tmp_path / "transformer.safetensors"
    save_checkpoint(vqgan, tokenizer)
    save_checkpoint(transformer, path, first_stage=tokenizer)
    with torch.no_grad():
        vqgan.decoder.conv_out.bias += 1
    save_checkpoint(vqgan, tokenizer)
    load_transformer(path)
    with torch.no_grad():
        vqgan.quantize.embedding.weight += 1
    save_checkpoint(vqgan, tokenizer)
    with pytest.raises(TokensError, match="another codebook"):
        load_transformer(path)
    tokenizer.unlink()
    with pytest.raises(CheckpointError, match="tokenizer.safetensors"):
        load_transformer(path)


def test_a_first_stage_elsewhere_or_of_a_vqgan_is_refused(vqgan, transformer, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    tokenizer = tmp_path / "elsewhere" / "tokenizer.safetensors"
    save_checkpoint(vqgan, tokenizer)
    with pytest.raises(ConfigError, match="must lie beside"):
        save_checkpoint(transformer, tmp_path / "transformer.safetensors", first_stage=tokenizer)
    with pytest.raises(ConfigError, match="no first stage"):
        save_checkpoint(vqgan, tokenizer, first_stage=tokenizer)


def test_the_fingerprint_is_of_the_codebook_alone_and_of_its_values():
    weights = vqgan_weights()
    fingerprint = codebook_fingerprint(weights)
    assert codebook_fingerprint(weights | {"decoder.conv_in.bias": torch.ones(64)}) == fingerprint
    assert codebook_fingerprint({key: tensor.double() for key, tensor in weights.items()}) == fingerprint
    assert codebook_fingerprint(vqgan_weights(seed=1)) != fingerprint
    assert codebook_fingerprint(vqgan_weights(quantizer="gumbel")) != fingerprint


def test_an_interrupted_save_leaves_the_old_file_and_no_other(vqgan, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_checkpoint(vqgan, path)
    before = path.read_bytes()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(vqgan, path, dtype=torch.float16)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_can_be_saved_over_while_it_is_planned(vqgan, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(vqgan, path)
    plan = plan_vqgan(path)
    save_checkpoint(vqgan, path, dtype=torch.float16)
    assert torch.equal(plan.state_dict["decoder.conv_out.bias"], vqgan.decoder.conv_out.bias)


def test_what_is_saved_is_plain_safetensors_in_the_published_layout(vqgan, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(vqgan, path)
    assert safetensors.torch.load_file(path).keys() == vqgan_weights().keys()
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["taming"])
    assert (document["format"], document["model"]) == (1, "vqgan")
