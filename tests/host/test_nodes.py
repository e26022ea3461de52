"""What the nodes look like from outside: the contract that saved workflows depend on, and every text a user reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devtools import ROOT
from devtools.host import PACK_FOLDER
from devtools.live_server import LiveServer
from taming.configs import config_from_dict, preset_names, read_preset
from taming.training.recipe import Recipe

# Per node: shown as; required inputs and optional ones in order, each (name, type, default); outputs.
Inputs = list[tuple[str, str, Any]]
SEED: tuple[str, str, Any] = ("seed", "INT", 0)
CONTRACT: dict[str, tuple[str, Inputs, Inputs, list[tuple[str, str]]]] = {
    "TamingLoadVQGAN": (
        "Load VQGAN",
        [("vqgan_name", "COMBO", None)],
        [("config_name", "COMBO", "auto")],
        [("VQGAN", "TAMING_VQGAN")],
    ),
    "TamingLoadTransformer": (
        "Load Token Transformer",
        [("transformer_name", "COMBO", None)],
        [("config_name", "COMBO", "auto"), ("precision", "COMBO", "auto")],
        [("TRANSFORMER", "TAMING_TRANSFORMER"), ("VQGAN", "TAMING_VQGAN")],
    ),
    "TamingEncode": (
        "Encode to Tokens",
        [("vqgan", "TAMING_VQGAN", None), ("image", "IMAGE", None)],
        [],
        [("TOKENS", "TAMING_TOKENS")],
    ),
    "TamingEmptyTokens": (
        "Empty Tokens",
        [("vqgan", "TAMING_VQGAN", None), ("width", "INT", 0), ("height", "INT", 0), ("batch_size", "INT", 1)],
        [],
        [("TOKENS", "TAMING_TOKENS")],
    ),
    "TamingForgetTokens": (
        "Forget Tokens",
        [("tokens", "TAMING_TOKENS", None)],
        [("mask", "MASK", None), ("strength", "FLOAT", 1.0), SEED, ("grow", "INT", 0), ("patch", "INT", 1)],
        [("TOKENS", "TAMING_TOKENS")],
    ),
    "TamingPadTokens": (
        "Pad Tokens",
        [
            ("tokens", "TAMING_TOKENS", None),
            ("left", "INT", 0),
            ("top", "INT", 0),
            ("right", "INT", 0),
            ("bottom", "INT", 0),
        ],
        [],
        [("TOKENS", "TAMING_TOKENS")],
    ),
    "TamingSample": (
        "Sample Tokens",
        [
            ("transformer", "TAMING_TRANSFORMER", None),
            ("tokens", "TAMING_TOKENS", None),
            SEED,
            ("temperature", "FLOAT", 1.0),
            ("top_k", "INT", 0),
            ("top_p", "FLOAT", 1.0),
        ],
        [
            ("condition", "TAMING_CONDITION", None),
            ("guidance_scale", "FLOAT", 1.0),
            ("settings", "COMBO", "recommended"),
        ],
        [("TOKENS", "TAMING_TOKENS")],
    ),
    "TamingDecode": (
        "Decode Tokens",
        [("vqgan", "TAMING_VQGAN", None), ("tokens", "TAMING_TOKENS", None)],
        [],
        [("IMAGE", "IMAGE")],
    ),
    "TamingClassCondition": (
        "Class Condition (Taming)",
        [("transformer", "TAMING_TRANSFORMER", None), ("label", "STRING", "alpine")],
        [],
        [("CONDITION", "TAMING_CONDITION")],
    ),
    "TamingPromptCondition": (
        "Prompt Condition (Taming)",
        [("transformer", "TAMING_TRANSFORMER", None), ("prompt", "STRING", "")],
        [("negative", "STRING", "")],
        [("CONDITION", "TAMING_CONDITION")],
    ),
    "TamingBoxesToMap": (
        "Boxes to Map (Taming)",
        [("boxes", "BOUNDING_BOXES,BOUNDING_BOX,ARRAY", []), ("palette", "COMBO", "scenes")],
        [("labels", "STRING", ""), ("width", "INT", 128), ("height", "INT", 128), ("background", "STRING", "")],
        [("IMAGE", "IMAGE")],
    ),
    "TamingImageCondition": (
        "Image Condition (Taming)",
        [("transformer", "TAMING_TRANSFORMER", None), ("image", "IMAGE", None)],
        [("palette", "COMBO", "auto")],
        [("CONDITION", "TAMING_CONDITION")],
    ),
    "TamingBoxCondition": (
        "Box Condition (Taming)",
        [("transformer", "TAMING_TRANSFORMER", None), ("boxes", "BOUNDING_BOXES,BOUNDING_BOX,ARRAY", [])],
        [("labels", "STRING", ""), ("width", "INT", 1024), ("height", "INT", 1024)],
        [("CONDITION", "TAMING_CONDITION")],
    ),
    "TamingTextCondition": (
        "Text Condition (Taming)",
        [("transformer", "TAMING_TRANSFORMER", None), ("conditioning", "CONDITIONING", None)],
        [],
        [("CONDITION", "TAMING_CONDITION")],
    ),
    "TamingRecipe": (
        "Training Recipe (Taming)",
        [
            ("preset", "COMBO", "pictures_vqgan_small"),
            ("folder", "STRING", ""),
            ("steps", "INT", 0),
            ("batch_size", "INT", 0),
            ("learning_rate", "FLOAT", 0.0),
            ("size_px", "INT", 0),
            ("overrides", "STRING", ""),
        ],
        [],
        [("RECIPE", "TAMING_RECIPE")],
    ),
    "TamingTrainVQGAN": (
        "Train VQGAN",
        [("recipe", "TAMING_RECIPE", None), ("run", "STRING", "taming/tokenizer")],
        [("images", "IMAGE", None), ("vqgan", "TAMING_VQGAN", None)],
        [("VQGAN", "TAMING_VQGAN"), ("LOSS_MAP", "LOSS_MAP")],
    ),
    "TamingTrainTransformer": (
        "Train Token Transformer",
        [("recipe", "TAMING_RECIPE", None), ("vqgan", "TAMING_VQGAN", None), ("run", "STRING", "taming/transformer")],
        [
            ("images", "IMAGE", None),
            ("labels", "STRING", None),
            ("transformer", "TAMING_TRANSFORMER", None),
            ("conditioning", "CONDITIONING", None),
        ],
        [("TRANSFORMER", "TAMING_TRANSFORMER"), ("LOSS_MAP", "LOSS_MAP")],
    ),
    "TamingSaveVQGAN": (
        "Save VQGAN",
        [("vqgan", "TAMING_VQGAN", None), ("filename_prefix", "STRING", "my_vqgan")],
        [],
        [],
    ),
    "TamingSaveTransformer": (
        "Save Token Transformer",
        [("transformer", "TAMING_TRANSFORMER", None), ("filename_prefix", "STRING", "my_transformer")],
        [],
        [],
    ),
}
LANGUAGES = ("en", "ko", "zh", "ja")
CATEGORIES = ("Taming/loaders", "Taming/tokens", "Taming/conditioning", "Taming/sampling", "Taming/training")
# What core calls the same thing: an artist who searches for it finds the node.
SEARCHES = {
    "imagenet": "TamingClassCondition",
    "clip text encode": "TamingPromptCondition",
    "denoise": "TamingForgetTokens",
    "ksampler": "TamingSample",
    "cfg": "TamingSample",
    "inpaint": "TamingForgetTokens",
    "outpaint": "TamingPadTokens",
    "vae encode": "TamingEncode",
    "vae decode": "TamingDecode",
    "empty latent image": "TamingEmptyTokens",
    "load checkpoint": "TamingLoadTransformer",
    "load vae": "TamingLoadVQGAN",
    "controlnet": "TamingImageCondition",
}
ADVANCED = {
    "TamingLoadVQGAN": {"config_name"},
    "TamingLoadTransformer": {"config_name", "precision"},
    "TamingForgetTokens": {"grow"},
    "TamingImageCondition": {"palette"},
    "TamingRecipe": {"learning_rate", "overrides"},
}


@pytest.fixture(scope="module")
def schemas(server: LiveServer) -> dict[str, dict[str, Any]]:
    info = server.get("/object_info")
    return {name: info[name] for name in CONTRACT}


def inputs_of(schema: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Type and options of every input, by name."""
    sections = [schema["input"].get(name, {}) for name in ("required", "optional")]
    return {name: (kind, options) for section in sections for name, (kind, options) in section.items()}


def listed(schema: dict[str, Any], section: str) -> Inputs:
    specs = schema["input"].get(section, {})
    return [(name, specs[name][0], specs[name][1].get("default")) for name in schema["input_order"].get(section, [])]


@pytest.mark.parametrize("name", CONTRACT)
def test_a_node_has_the_inputs_and_outputs_of_the_contract(schemas: dict[str, Any], name: str):
    shown_as, required, optional, outputs = CONTRACT[name]
    schema = schemas[name]
    assert schema["display_name"] == shown_as
    assert listed(schema, "required") == required
    assert listed(schema, "optional") == optional
    assert list(zip(schema["output_name"], schema["output"], strict=True)) == outputs


@pytest.mark.parametrize("name", CONTRACT)
def test_a_node_explains_itself_and_each_of_its_inputs(schemas: dict[str, Any], name: str):
    schema = schemas[name]
    assert schema["description"] and schema["search_aliases"]
    assert schema["category"] in CATEGORIES
    assert all(options.get("tooltip") for _, options in inputs_of(schema).values())
    assert all(schema["output_tooltips"])


@pytest.mark.parametrize("name", CONTRACT)
def test_a_number_input_says_its_range_and_step(schemas: dict[str, Any], name: str):
    """The editor falls back to 0 to 2048 for a number without them."""
    for kind, options in inputs_of(schemas[name]).values():
        assert kind not in ("INT", "FLOAT") or {"min", "max", "step"} <= set(options)


@pytest.mark.parametrize("words", SEARCHES)
def test_the_words_of_core_find_a_node(schemas: dict[str, Any], words: str):
    assert words in schemas[SEARCHES[words]]["search_aliases"]


@pytest.mark.parametrize("name", ADVANCED)
def test_rarely_used_inputs_are_advanced(schemas: dict[str, Any], name: str):
    advanced = {key for key, (_, options) in inputs_of(schemas[name]).items() if options.get("advanced")}
    assert advanced == ADVANCED[name]


def test_the_tooltips_of_a_recipe_say_the_numbers_of_each_preset(schemas: dict[str, Any]):
    inputs = inputs_of(schemas["TamingRecipe"])
    for name in (name for name in preset_names() if name.startswith("pictures_")):
        recipe = config_from_dict(Recipe, read_preset(name, (), ("data.folder", "first_stage")), name)
        numbers = {
            "steps": recipe.num_steps,
            "batch_size": recipe.phases[-1].batch_size,
            "learning_rate": recipe.optimizer.lr,
            "size_px": recipe.data.size_px,
        }
        for option, number in numbers.items():
            assert f" {number}" in inputs[option][1]["tooltip"], f"{name}: {option}"


def test_own_recipes_come_before_ours_and_those_for_own_pictures_before_the_embedded_models(server: LiveServer):
    folder = server.base / "models" / "taming_recipes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zebra.yaml").write_text("task: vqgan\n", encoding="utf-8")
    _, options = inputs_of(server.get("/object_info/TamingRecipe")["TamingRecipe"])["preset"]
    kinds = [name.partition("_")[0] for name in options["options"]]
    assert kinds[0] == "zebra.yaml" and kinds[1] == "pictures" and kinds[-1] == "scenes"
    assert kinds[kinds.index("landscapes") :].count("pictures") == 0


def test_the_embedded_models_come_first_and_auto_is_the_first_configuration(schemas: dict[str, Any]):
    for node, option in (("TamingLoadVQGAN", "vqgan_name"), ("TamingLoadTransformer", "transformer_name")):
        inputs = inputs_of(schemas[node])
        assert inputs[option][1]["options"][0].startswith("embedded/scenes_")
        assert inputs["config_name"][1]["options"][0] == "auto"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(server: LiveServer, schemas: dict[str, Any], language: str):
    translations = server.get("/i18n")[language]
    assert {"Taming", "tokens"} <= set(translations["nodeCategories"])  # the others are core's
    for name, schema in schemas.items():
        texts = translations["nodeDefs"][name]
        assert texts["display_name"] and texts["description"]
        assert list(texts["inputs"]) == list(inputs_of(schema))
        assert len(texts["outputs"]) == len(schema["output"])
        assert all(text["name"] and text["tooltip"] for text in (*texts["inputs"].values(), *texts["outputs"].values()))


def test_the_english_texts_are_those_of_the_schemas(server: LiveServer, schemas: dict[str, Any]):
    translations = server.get("/i18n")["en"]["nodeDefs"]
    for name, schema in schemas.items():
        texts = translations[name]
        assert (texts["display_name"], texts["description"]) == (schema["display_name"], schema["description"])
        tooltips = {key: options["tooltip"] for key, (_, options) in inputs_of(schema).items()}
        assert {key: text["tooltip"] for key, text in texts["inputs"].items()} == tooltips
        assert [text["tooltip"] for text in texts["outputs"].values()] == schema["output_tooltips"]


@pytest.mark.parametrize("page", ["{}.md", "{}/ko.md"])
@pytest.mark.parametrize("name", CONTRACT)
def test_the_help_page_of_a_node_names_every_input(server: LiveServer, schemas: dict[str, Any], name: str, page: str):
    text = server.get_bytes(f"/extensions/{PACK_FOLDER}/docs/{page.format(name)}").decode()
    assert text.startswith("# ")
    assert all(f"`{option}`" in text for option in inputs_of(schemas[name]))


def test_the_templates_browser_lists_the_example_workflows(server: LiveServer):
    shipped = {file.stem for file in (ROOT / "example_workflows").glob("*.json")}
    assert set(server.get("/workflow_templates")[PACK_FOLDER]) == shipped
    for name in shipped:
        workflow = json.loads(server.get_bytes(f"/api/workflow_templates/{PACK_FOLDER}/{name}.json"))
        ours = [node for node in workflow["nodes"] if node["type"].startswith("Taming")]
        assert ours and all(node["properties"]["cnr_id"] == "taming-tokens" for node in ours)
