"""Published YAML: every published form is understood, nothing in a file is executed, resolved or guessed."""

import pytest
import yaml

from hostile import YAML, Hostile
from published import net2net_yaml, vqgan_yaml
from taming.checkpoints.upstream_transformer import net2net_config
from taming.checkpoints.upstream_vqgan import vqgan_config
from taming.checkpoints.yaml_file import read_yaml
from taming.conditioning import ClassCondition, Unconditional
from taming.errors import ConfigError
from taming.models.vqgan import VQModelConfig

TINY = VQModelConfig(
    n_embed=24, embed_dim=8, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), resolution=8, z_channels=16
)
GPT = "taming.modules.transformer.mingpt.GPT"
BOXES = "taming.models.dummy_cond_stage.DummyCondStage"


def label_stage(**params: object) -> dict[str, object]:
    return {"target": "taming.modules.util.Labelator", "params": {"n_classes": 10, **params}}


@pytest.mark.parametrize(
    ("target", "quantizer"),
    [
        ("taming.models.vqgan.VQModel", "vq"),
        ("taming.models.vqgan.GumbelVQ", "gumbel"),
        ("taming.models.vqgan.EMAVQ", "ema"),
        ("ldm.models.autoencoder.VQModel", "vq"),
        ("ldm.models.autoencoder.VQModelInterface", "vq"),
    ],
)
def test_every_known_vqgan_target_names_a_quantizer(target, quantizer):
    config = vqgan_config(vqgan_yaml(target), "x.yaml")
    assert config.quantizer == quantizer
    assert (config.n_embed, config.ch_mult, config.attn_resolutions) == (24, (1, 2), (4,))


def test_a_whole_file_its_model_part_and_our_own_fields_say_the_same():
    whole = vqgan_yaml()
    own = {"n_embed": 24, "embed_dim": 8, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "z_channels": 16}
    own |= {"attn_resolutions": [4], "resolution": 8}
    assert vqgan_config(whole, "x") == vqgan_config(whole["model"], "x") == vqgan_config(own, "x") == TINY  # type: ignore[arg-type]


def test_numbers_in_scientific_notation_are_numbers(tmp_path):
    """Plain YAML 1.1 reads `1e-8`, which the Gumbel configuration says, as a text."""
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(vqgan_yaml("taming.models.vqgan.GumbelVQ", kl_weight="KL")).replace("KL", "1e-8"))
    assert vqgan_config(read_yaml(path), "x").kl_weight == 1e-8


@pytest.mark.parametrize(
    ("cond_stage", "extra", "condition"),
    [
        ("__is_unconditional__", {}, Unconditional()),
        ("__is_unconditional__", {"sos_token": 5}, Unconditional(sos_token=5)),
        ("anything", {"unconditional": True}, Unconditional()),
        ({"target": "taming.modules.util.SOSProvider", "params": {"sos_token": 3}}, {}, Unconditional(sos_token=3)),
        (label_stage(), {}, ClassCondition(num_classes=10)),
        (label_stage(quantize_interface=True), {"pkeep": 0.9}, ClassCondition(num_classes=10)),
    ],
)
def test_every_supported_condition_is_understood(cond_stage, extra, condition):
    config = net2net_config(net2net_yaml(cond_stage, **extra), "x.yaml").transformer
    assert config.condition == condition
    assert (config.n_head, config.block_size, config.grid) == (4, 16, (4, 4))


def test_a_transformer_configuration_carries_that_of_its_first_stage():
    assert net2net_config(net2net_yaml(), "x").first_stage == TINY == vqgan_config(net2net_yaml(), "x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (vqgan_yaml("os.system"), "unknown target 'os.system'"),
        (vqgan_yaml(n_embd=24), "unknown name 'n_embd'; did you mean n_embed"),
        (vqgan_yaml(ddconfig={"chmult": [1]}), "unknown name 'chmult'; did you mean ch_mult"),
        (vqgan_yaml(ddconfig={"double_z": True}), "double_z: True is not supported"),
        (vqgan_yaml(ddconfig=None), "ddconfig: expected names and values, found None"),
        (vqgan_yaml(remap="used.npy"), "remapped codebook"),
        (vqgan_yaml(n_embed="24"), "n_embed: expected a whole number of 1 or more, found '24'"),
        (vqgan_yaml(n_embed=True), "n_embed: expected a whole number"),
        (vqgan_yaml(n_embed=0), "n_embed: expected a whole number of 1 or more, found 0"),
        (vqgan_yaml(n_embed=10**30), "n_embed: expected a whole number"),
        (vqgan_yaml(n_embed="${oc.env:HOME}"), r"found '\$\{oc.env:HOME\}'"),
        ({"model": {"target": "taming.models.vqgan.VQModel"}}, "params: expected names and values"),
        (net2net_yaml(first_stage_config=None), "first_stage_config: expected names and values"),
        ({}, "n_embed, embed_dim must be given"),
    ],
)
def test_a_wrong_vqgan_configuration_is_refused_in_words(values, message):
    with pytest.raises(ConfigError, match=message):
        vqgan_config(values, "x.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (vqgan_yaml(), "unknown target 'taming.models.vqgan.VQModel'"),
        (net2net_yaml("__is_second_stage__"), "'__is_second_stage__' is not supported"),
        (net2net_yaml({"target": "taming.modules.misc.coord.CoordStage", "params": {}}), "num_codes: expected a whole"),
        (net2net_yaml({"target": BOXES, "params": {"conditional_key": "objects"}}), "conditional_key 'objects'"),
        (net2net_yaml({"target": BOXES, "params": {"conditional_keys": 1}}), "unknown name 'conditional_keys'"),
        (net2net_yaml({"target": "subprocess.run", "params": {}}), "unknown target 'subprocess.run'"),
        (net2net_yaml(label_stage(n_clases=3)), "unknown name 'n_clases'; did you mean n_classes"),
        (net2net_yaml(learning="fast"), "unknown name 'learning'"),
        (
            net2net_yaml(permuter_config={"target": "taming.modules.transformer.permuter.Hilbert"}),
            "unknown target 'taming.modules.transformer.permuter.Hilbert'",
        ),
        (
            net2net_yaml(
                permuter_config={"target": "taming.modules.transformer.permuter.ZCurve", "params": {"H": 8, "W": 8}}
            ),
            "it permutes 8 x 8 cells, and the model draws 4 x 4",
        ),
        (net2net_yaml(transformer_config={"target": "os.system", "params": {}}), "unknown target 'os.system'"),
        (net2net_yaml(transformer_config={"target": GPT, "params": {"n_head": 4}}), "vocab_size, .* must be given"),
        (net2net_yaml(transformer_config={"target": GPT, "params": {"heads": 4}}), "unknown name 'heads'"),
    ],
)
def test_a_wrong_transformer_configuration_is_refused_in_words(values, message):
    with pytest.raises(ConfigError, match=message):
        net2net_config(values, "x.yaml")


@pytest.mark.parametrize("hostile", YAML, ids=lambda hostile: hostile.words[0])
def test_hostile_yaml_is_refused_in_words_and_runs_nothing(hostile: Hostile, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "a secret")
    canary = tmp_path / "canary"
    path = hostile.write(tmp_path, canary)
    with pytest.raises(ConfigError) as error:
        vqgan_config(read_yaml(path), path.name)
    assert hostile.name in str(error.value) and "a secret" not in str(error.value)
    assert all(words in str(error.value) for words in hostile.words), str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert not canary.exists()


def test_a_missing_configuration_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="gone.yaml cannot be read"):
        read_yaml(tmp_path / "gone.yaml")
