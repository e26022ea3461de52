"""The zoo: its data file, looking a model up, and the page written from it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taming.errors import ConfigError
from taming.zoo import MODELS_FILE, ZooModel, find_model, read_zoo
from taming.zoo.page import INTRODUCTION, models_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
MODELS = read_zoo()
FAMILIES = ("llamagen", "janus", "ibq", "ldm_vq_f4", "ldm_vq_f8", "ldm_vq_f16", "chameleon", "mindalle", "amused")
# Names of the runs and files in the tables of published first stages and transformers.
PUBLISHED = (
    *("vqgan_imagenet_f16_1024", "vqgan_imagenet_f16_16384", "vqgan_gumbel_f8", "2020-09-23T17-56-33_imagenet_vqgan"),
    *("2020-11-03T15-34-24_imagenetdepth_vqgan", "2020-11-09T13-33-36_faceshq_vqgan", "coco_epoch117"),
    *("coco_oi_epoch12", "ldm_vq_f4_noattn", "ldm_vq_f8_n256", "wikiart_16384", "boris_vqgan_f16_16384"),
    *("rudalle_vqgan_gumbel_f8", "2020-11-09T13-31-51_sflckr", "2020-11-13T21-41-45_faceshq_transformer"),
    *("2020-11-20T12-54-32_drin_transformer", "2020-11-20T21-45-44_ade20k_transformer"),
    *("2021-01-20T16-04-20_coco_transformer", "2021-04-23T18-19-01_ffhq_transformer"),
    *("2021-04-23T18-11-19_celebahq_transformer", "2021-04-03T19-39-50_cin_transformer", "coco_scene_30"),
    *("coco_scene_60", "open_images_scene_1b", "open_images_scene_125m"),
)


def entry(**changes: object) -> dict[str, object]:
    return {**asdict(MODELS[0]), **changes}


@pytest.fixture
def zoo_file(tmp_path: Path):
    def write(*entries: object) -> Path:
        path = tmp_path / "models.json"
        path.write_text(json.dumps(entries), encoding="utf-8")
        return path

    return write


def test_every_published_model_and_every_descendant_is_in_the_zoo():
    stems = {model.file.rpartition(".")[0] for model in MODELS}
    assert set(PUBLISHED) <= stems
    names = " ".join(model.name for model in MODELS)
    assert [family for family in (*FAMILIES, "meissonic", "diffusers_") if family not in names] == []


def test_addresses_are_encrypted_and_name_a_host():
    for address in (address for model in MODELS for address in (model.source, model.url) if address is not None):
        parts = urlsplit(address)
        assert parts.scheme == "https" and parts.hostname and "." in parts.hostname, address


def test_no_two_models_share_a_file_and_tokenizers_lie_apart_from_transformers():
    places = [(model.folder, model.file) for model in MODELS]
    assert len(set(places)) == len(places)
    assert {(model.kind, model.folder) for model in MODELS} == {
        ("vqgan", "vqgan"),
        ("transformer", "taming_transformers"),
    }


def test_a_stated_size_is_not_smaller_than_the_weights_in_half_precision():
    for model in MODELS:
        if model.size_bytes is not None and model.parameters is not None:
            assert model.size_bytes >= 2 * model.parameters, model.name


@pytest.mark.parametrize(
    ("size", "expected"), [("957,954,257 bytes", 957_954_257), ("281 MB", None), ("8.4 GB", None), (None, None)]
)
def test_only_a_size_known_to_the_byte_is_a_number(size: str | None, expected: int | None):
    assert replace(MODELS[0], size=size).size_bytes == expected


def test_a_model_is_found_by_its_name():
    assert [find_model(MODELS[i].name) for i in (0, -1)] == [MODELS[0], MODELS[-1]]


@pytest.mark.parametrize(
    ("name", "hint"), [("vqgan_gumbel_f16", "vqgan_gumbel_f8"), ("LDM_VQ_F4", "ldm_vq_f4"), ("@@@@", "lists them all")]
)
def test_an_unknown_name_is_answered_with_the_nearest_ones(name: str, hint: str):
    with pytest.raises(ConfigError, match=hint):
        find_model(name)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Two Words"}, "name"),
        ({"file": "../escape.ckpt"}, "file"),
        ({"file": "weights.exe"}, "file"),
        ({"sha256": "abc"}, "sha256"),
        ({"size": "huge"}, "size"),
        ({"folder": "loras"}, "folder"),
        ({"licence": "MIT"}, "licence"),
        ({"parameters": "72M"}, "parameters"),
    ],
)
def test_a_malformed_entry_is_refused_by_number_and_field(zoo_file, changes: dict[str, object], complaint: str):
    with pytest.raises(ConfigError, match=f"entry 1: .*{complaint}"):
        read_zoo(zoo_file(entry(), entry(**{"name": "other", **changes})))


def test_a_missing_field_is_refused_so_that_nothing_unknown_goes_unsaid(zoo_file):
    without_license = {name: value for name, value in entry().items() if name != "license"}
    with pytest.raises(ConfigError, match="license must be given"):
        read_zoo(zoo_file(without_license))


def test_a_name_given_twice_is_refused(zoo_file):
    with pytest.raises(ConfigError, match=f"{MODELS[0].name} more than once"):
        read_zoo(zoo_file(entry(), entry()))


def test_a_file_that_is_no_json_list_of_entries_is_refused(zoo_file, tmp_path: Path):
    broken = tmp_path / "broken.json"
    broken.write_text("[{", encoding="utf-8")
    with pytest.raises(ConfigError, match="broken.json is not valid JSON"):
        read_zoo(broken)
    with pytest.raises(ConfigError, match="expected the fields of a ZooModel"):
        read_zoo(zoo_file("not a model"))


def test_the_committed_page_is_the_one_written_from_the_data():
    """Broken by editing either by hand; `python -m taming.zoo.page > docs/models.md` mends it."""
    assert PAGE.read_text(encoding="utf-8") == models_page()


def test_the_page_shows_every_model_once_in_tables_of_even_rows():
    page = models_page()
    rows = [line for line in page.splitlines() if line.startswith("| [`")]
    assert [re.findall(r"`([^`]+)`", row)[0] for row in rows] == [model.name for model in MODELS]
    assert {row.count(" | ") for row in rows} == {6}
    titles = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert len(set(titles)) == len(titles), "entries of one family must stand together in models.json"


def test_the_models_that_the_introduction_recommends_exist():
    advice = INTRODUCTION[INTRODUCTION.index("## Which ones first") : INTRODUCTION.index("## What is hard")]
    recommended = re.findall(r"`([a-z0-9_]+)`", advice)
    assert len(recommended) >= 5
    assert all(isinstance(find_model(name), ZooModel) for name in recommended)


def test_the_data_file_is_ascii_and_ends_with_a_line():
    text = MODELS_FILE.read_text(encoding="utf-8")
    assert text.isascii() and text.endswith("]\n")
