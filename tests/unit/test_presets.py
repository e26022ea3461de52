"""The configurations of published checkpoints that the pack has: understood, of the published size, found by name."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from published import net2net_weights, prefixed, transformer_weights, vqgan_weights
from taming.checkpoints import Checkpoint, load_vqgan
from taming.checkpoints.detect_transformer import detect_transformer
from taming.checkpoints.upstream_transformer import net2net_config
from taming.checkpoints.upstream_vqgan import vqgan_config
from taming.checkpoints.verify import check_cond_stage, check_condition
from taming.checkpoints.yaml_file import read_yaml
from taming.cli import main
from taming.cli.inspect import print_presets
from taming.configs import PRESETS, PUBLISHED, find_preset, preset_names
from taming.errors import ConfigError
from taming.models import Transformer, VQModel
from taming.training.recipe import read_recipe
from taming.zoo import find_model, read_zoo

NAMES = preset_names(PUBLISHED)
TRANSFORMERS = [name for name in NAMES if find_model(name).kind == "transformer"]
WITHOUT_PRESET = {"open_images_scene_125m"}  # its sizes are not published


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_model_with_as_many_parameters_as_were_published(name):
    values = read_yaml(PUBLISHED / f"{name}.yaml")
    with torch.device("meta"):
        if name in TRANSFORMERS:
            config = net2net_config(values, name)
            model = Transformer(config.transformer)
            check_condition(config.transformer, name)
            assert config.first_stage is not None
            if config.cond_stage is not None:
                check_cond_stage(config.transformer, config.cond_stage, name)
            assert config.first_stage.num_tokens <= config.transformer.vocab_size
        else:
            model = VQModel(vqgan_config(values, name))
    assert sum(parameter.numel() for parameter in model.parameters()) == find_model(name).parameters


def test_every_original_model_has_a_preset_of_its_name():
    originals = {"taming-transformers", "latent-diffusion", "By other people"}
    wanted = {model.name for model in read_zoo() if model.family in originals or model.kind == "transformer"}
    assert wanted - WITHOUT_PRESET <= set(NAMES)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_what_the_shapes_cannot_tell_of_a_transformer_is_in_its_preset(name):
    """Only the scenes of Open Images have the shapes of another published model, COCO's."""
    config = net2net_config(read_yaml(PUBLISHED / f"{name}.yaml"), name)
    with torch.device("meta"):
        weights = Transformer(config.transformer).state_dict()
    found = detect_transformer(weights, name, config.cond_stage)
    found = replace(found, embd_pdrop=config.transformer.embd_pdrop, resid_pdrop=config.transformer.resid_pdrop)
    found = replace(found, attn_pdrop=config.transformer.attn_pdrop)
    assert (found == config.transformer) == (name != "open_images_scene_1b")


def test_presets_of_published_models_are_found_and_are_no_training_recipes():
    assert find_preset("published/sflckr") == find_preset("sflckr", PUBLISHED) == PUBLISHED / "sflckr.yaml"
    assert set(preset_names(PRESETS)).isdisjoint(NAMES)
    with pytest.raises(ConfigError, match="one of: .*scenes_class") as error:
        find_preset("sflckr")
    assert "sflckr.yaml" not in str(error.value)
    with pytest.raises(ConfigError):
        read_recipe("published/sflckr")


def test_a_preset_is_a_configuration_by_its_name(tmp_path):
    save_file(vqgan_weights(), tmp_path / "small.safetensors")
    with pytest.raises(ConfigError, match=r"chameleon_vqgan.yaml does not fit small.safetensors: .*n_embed 8192"):
        load_vqgan(tmp_path / "small.safetensors", "chameleon_vqgan")
    with pytest.raises(ConfigError, match="no such preset.*chameleon_vqgan"):
        load_vqgan(tmp_path / "small.safetensors", "chameleon")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A transformer of the scenes' sizes but for its depth and width, which is 40: no 16 heads."""
    weights = transformer_weights(vocab_size=8192, block_size=348, n_layer=1, n_embd=40, masks=False)
    path = tmp_path / "scenes.ckpt"
    torch.save({"state_dict": net2net_weights(vqgan_weights(), weights)}, path)
    return path


def test_inspect_takes_a_configuration(scenes, tmp_path, capsys):
    assert main(["inspect", str(scenes)]) == 1
    assert "n_head" in capsys.readouterr().err
    config = tmp_path / "other.yaml"
    config.write_text("vocab_size: 8192\nblock_size: 348\nn_layer: 1\nn_head: 8\nn_embd: 40\n")
    assert main(["inspect", str(scenes), "--config", str(config)]) == 0
    assert "transformer: loads" in capsys.readouterr().out
    assert main(["inspect", str(scenes), "--config", "sflckr"]) == 1
    assert "sflckr.yaml: first_stage does not fit scenes.ckpt" in capsys.readouterr().err


def test_inspect_names_the_presets_whose_shapes_a_file_has(tmp_path, capsys):
    """At full size, without memory: what is stored once is shown as large as the published model."""
    config = net2net_config(read_yaml(PUBLISHED / "ade20k_transformer.yaml"), "x").transformer
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in Transformer(config).state_dict().items()}
    weights = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    print_presets(Checkpoint(tmp_path / "last.ckpt", prefixed("transformer.", weights), {}))
    assert "shapes: ade20k_transformer;" in capsys.readouterr().out
