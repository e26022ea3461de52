"""The settings that a model recommends: its own, which travel with its weights, or usual ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from taming import load_transformer, recommended_options
from taming.checkpoints import save_checkpoint
from taming.conditioning import ClassCondition, Unconditional
from taming.configs import config_from_dict
from taming.errors import ConfigError
from taming.models import Transformer, TransformerConfig
from taming.sampling import SamplingOptions

PLAIN = TransformerConfig(vocab_size=16, block_size=17, n_layer=1, n_head=1, n_embd=8, grid=(4, 4))
CLASSES = replace(PLAIN, vocab_size=20, condition=ClassCondition(num_classes=3, null_label=3))
OWN = SamplingOptions(temperature=0.9, top_k=50, top_p=0.9, guidance_scale=1.5)


def test_a_model_without_settings_of_its_own_recommends_usual_ones():
    options = recommended_options(Transformer(PLAIN))
    assert (options.temperature, options.top_k, options.top_p, options.guidance_scale) == (1.0, 100, 0.95, 1.0)


def test_guidance_is_recommended_where_there_is_a_null_condition():
    assert recommended_options(Transformer(CLASSES)).guidance_scale > 2
    context = replace(PLAIN, context_dim=4, condition=Unconditional(null_context=True))
    assert recommended_options(Transformer(context)).guidance_scale > 2
    assert recommended_options(Transformer(replace(PLAIN, context_dim=4))).guidance_scale == 1


def test_a_models_own_settings_come_back_from_its_file(tmp_path: Path):
    save_checkpoint(Transformer(replace(CLASSES, recommended=OWN)), tmp_path / "model.safetensors")
    transformer, _ = load_transformer(tmp_path / "model.safetensors")
    assert recommended_options(transformer) == transformer.config.recommended == OWN


def test_a_file_from_before_there_were_settings_loads(tmp_path: Path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(Transformer(CLASSES), file)
    with safe_open(file, framework="pt") as opened:
        metadata = {key: text.replace(', "recommended": null', "") for key, text in opened.metadata().items()}
    assert "recommended" not in "".join(metadata.values())
    save_file(load_file(file), file, metadata)
    assert load_transformer(file)[0].config == CLASSES


def test_guidance_without_a_null_condition_is_not_recommended():
    with pytest.raises(ConfigError, match="recommended.guidance_scale is 1.5"):
        replace(PLAIN, recommended=OWN)


@pytest.mark.parametrize("wrong", [{"top_p": 1.5}, {"top_k": -1}, {"temprature": 1.0}])
def test_wrong_settings_in_a_file_are_refused_by_its_name(wrong: dict[str, float]):
    values = {**asdict(CLASSES), "recommended": wrong}
    with pytest.raises(ConfigError, match=r"model\.safetensors: recommended"):
        config_from_dict(TransformerConfig, values, "model.safetensors")


def test_settings_are_told_in_the_words_of_the_inputs():
    assert str(OWN) == "temperature 0.9, top_k 50, top_p 0.9, guidance_scale 1.5"
    assert "min_p 0.1" in str(replace(OWN, min_p=0.1))
