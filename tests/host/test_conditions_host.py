"""Conditions other than class labels in the running server, with small random models that the tests write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from devtools.host import Host, make_base
from live_server import LiveServer, Run
from prompts import DECODE, EMPTY, LOAD, SAMPLE, SHOW, Prompt, node, pixels
from published import net2net_weights, net2net_yaml, prefixed, transformer_weights, vqgan_weights, vqgan_yaml
from taming.checkpoints import load_transformer
from taming.conditioning import Box, Condition, get_condition
from taming.conditioning.vocabularies import vocabulary
from taming.configs import PUBLISHED, preset_names
from taming.sampling import SamplingOptions, generate

CONDITION = "condition"
LABELS = 151  # of ADE20K
SIDE = 6  # cells that the models were trained on, 2 px each
FACTOR = 2
GREEDY = SamplingOptions(temperature=0)

# No node of the host shows tokens, or makes pictures of odd shapes.
PROBE_PACK = """
import torch

class ProbeTokens:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"tokens": ("TAMING_TOKENS",)}})
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "show", "test", True

    def show(self, tokens):
        return {"ui": {"indices": tokens.indices.tolist()}}

class ProbeImage:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"values": ("STRING",), "shape": ("STRING",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "make", "test"

    def make(self, values, shape):
        shape = [int(side) for side in shape.split(",")]
        return (torch.tensor([float(value) for value in values.split()]).view(shape),)

class ProbeBoxes:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"boxes": ("STRING",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("BOUNDING_BOX",), "make", "test"

    def make(self, boxes):
        import json
        return (json.loads(boxes),)

NODE_CLASS_MAPPINGS = {"ProbeTokens": ProbeTokens, "ProbeImage": ProbeImage, "ProbeBoxes": ProbeBoxes}
"""


@pytest.fixture(scope="module")
def probed(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of its own, with the probes beside the pack and a model of every kind in its folder."""
    base = tmp_path_factory.mktemp("conditions")
    make_base(base, comfyui)
    (base / "custom_nodes" / "condition_probe.py").write_text(PROBE_PACK, encoding="utf-8")
    write_models(base / "models" / "taming_transformers")
    server = LiveServer(comfyui, base)
    with server:
        yield server


def write_models(folder: Path) -> None:
    folder.mkdir(parents=True)
    cells = SIDE * SIDE
    write_map_model(folder / "segmentation.ckpt", LABELS)
    write_map_model(folder / "depth.ckpt", 1)
    write_map_model(folder / "other_depth.ckpt", 1, seed=9)
    write_map_model(folder / "scaled.ckpt", 1, downsample_cond_size=4)
    coordinates = {"target": "taming.modules.misc.coord.CoordStage", "params": {"n_embed": 24, "down_factor": FACTOR}}
    write_model(folder / "coordinates.ckpt", {}, coordinates, block_size=2 * cells)
    boxes = {"target": "taming.models.dummy_cond_stage.DummyCondStage", "params": {"conditional_key": "objects_bbox"}}
    data = {
        "target": "main.DataModuleFromConfig",
        "params": {
            "train": {
                "target": "taming.data.annotated_objects_coco.AnnotatedObjectsCoco",
                "params": {"no_tokens": 400, "max_objects_per_image": 3, "encode_crop": True},
            }
        },
    }
    write_model(folder / "boxes.ckpt", {}, boxes, block_size=3 * 3 + 2 + cells, vocab_size=400, data=data)


def write_map_model(path: Path, channels: int, *, seed: int = 3, **params: Any) -> None:
    stage = prefixed("cond_stage_model.", lively(vqgan_weights(seed, channels=channels)))
    config = stage_config()
    config["params"]["ddconfig"] |= {"in_channels": channels, "out_ch": channels}
    write_model(path, stage, config, block_size=2 * SIDE * SIDE, **params)


def lively(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with activations of a size that lets what comes in matter to what comes out."""
    norms = [key for key in weights if key.endswith(".weight") and weights[key].dim() == 1]
    return {key: torch.ones_like(value) if key in norms else 6 * value for key, value in weights.items()}


def stage_config(**params: int) -> dict[str, Any]:
    """The configuration of a VQGAN that was trained on pictures of as many cells as the transformers."""
    config = vqgan_yaml(**params)["model"]
    config["params"]["ddconfig"] |= {"resolution": SIDE * FACTOR, "attn_resolutions": [SIDE]}
    return config


def write_model(
    path: Path,
    stage: dict[str, Tensor],
    cond_config: dict[str, Any],
    *,
    block_size: int,
    vocab_size: int = 200,
    data: dict[str, Any] | None = None,
    **params: Any,
) -> None:
    """A whole checkpoint of a random model, and its YAML."""
    gpt = lively(transformer_weights(1, vocab_size=vocab_size, block_size=block_size, masks=False))
    first_stage = vqgan_weights(n_embed=vocab_size)
    torch.save({"state_dict": net2net_weights(first_stage, gpt) | stage}, path)
    sizes = {"vocab_size": vocab_size, "block_size": block_size, "n_layer": 2, "n_head": 4, "n_embd": 32}
    config = net2net_yaml(cond_config, **params)
    config["model"]["params"]["transformer_config"]["params"] = sizes
    config["model"]["params"]["first_stage_config"] = stage_config(n_embed=vocab_size)
    path.with_suffix(".yaml").write_text(json.dumps(config | ({"data": data} if data else {})), encoding="utf-8")


def drawing(
    name: str, condition: dict[str, Any] | None, *, height: int = SIDE, width: int = SIDE, batch_size: int = 1
) -> Prompt:
    """Draw a grid greedily by what the node `condition` says."""
    settings: dict[str, Any] = {"seed": 0, "temperature": 0.0, "top_k": 0, "top_p": 1.0}
    sides = {"width": width * FACTOR, "height": height * FACTOR}
    prompt = {
        LOAD: node("TamingLoadTransformer", transformer_name=name),
        EMPTY: node("TamingEmptyTokens", vqgan=[LOAD, 1], **sides, batch_size=batch_size),
        SAMPLE: node("TamingSample", transformer=[LOAD, 0], tokens=[EMPTY, 0], **settings),
        DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=[SAMPLE, 0]),
        SHOW: node("PreviewImage", images=[DECODE, 0]),
        "drawn": node("ProbeTokens", tokens=[SAMPLE, 0]),
    }
    if condition is not None:
        prompt[CONDITION] = condition
        prompt[CONDITION]["inputs"]["transformer"] = [LOAD, 0]
        prompt[SAMPLE]["inputs"]["condition"] = [CONDITION, 0]
    return prompt


def with_image(name: str, image: Tensor, palette: str | None = None, **grid: int) -> Prompt:
    """Draw by a picture, (B, H, W, C) in [0, 1]."""
    chosen = {} if palette is None else {"palette": palette}
    prompt = drawing(name, node("TamingImageCondition", image=["image", 0], **chosen), **grid)
    values = " ".join(map(str, image.flatten().tolist()))
    prompt["image"] = node("ProbeImage", values=values, shape=",".join(map(str, image.shape)))
    return prompt


def with_boxes(boxes: list[Any], *, batch_size: int = 1, **inputs: Any) -> Prompt:
    """Draw by boxes as the editor's canvas writes them."""
    condition = node("TamingBoxCondition", boxes={"__value__": boxes}, **inputs)
    return drawing("boxes.ckpt", condition, batch_size=batch_size)


def drawn(run: Run) -> np.ndarray:
    """Tokens (B, h, w)."""
    assert run.ending == "execution_success", run.error
    return np.array(run.history["outputs"]["drawn"]["indices"])


def expected(server: LiveServer, name: str, *, height: int = SIDE, width: int = SIDE, **told: Any) -> np.ndarray:
    """The tokens that the library draws by itself."""
    transformer, _ = load_transformer(server.base / "models" / "taming_transformers" / name)
    condition: Condition = get_condition(transformer, **told)
    blank = torch.zeros(condition.batch_size, height, width, dtype=torch.int64)
    return generate(condition, blank, torch.zeros_like(blank, dtype=torch.bool), options=GREEDY).numpy()


def random_labels(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Labels in blocks of a token, (B, height * 2, width * 2), none of the two that share a color."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(8, 48, (batch, height, width), generator=generator)
    return labels.repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)


def gray(labels: Tensor) -> Tensor:
    return (labels.float() / 255)[..., None].expand(*labels.shape, 3)


def colored(labels: Tensor) -> Tensor:
    return torch.tensor(vocabulary("ade20k").colors)[labels].float() / 255


def random_depth(batch: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, SIDE * FACTOR, SIDE * FACTOR, generator=torch.Generator().manual_seed(seed))


def test_a_segmentation_is_read_alike_from_label_images_and_colors_and_drawn_as_the_library_does(probed: LiveServer):
    labels = random_labels(1, SIDE, SIDE)
    by_library = expected(probed, "segmentation.ckpt", segmentation=labels)
    prompts = [with_image("segmentation.ckpt", picture) for picture in (gray(labels), colored(labels))]
    prompts.append(with_image("segmentation.ckpt", colored(labels), "ade20k"))
    assert all(np.array_equal(drawn(probed.watch(prompt)), by_library) for prompt in prompts)
    other = with_image("segmentation.ckpt", gray(random_labels(1, SIDE, SIDE, seed=1)))
    assert not np.array_equal(drawn(probed.watch(other)), by_library)


def test_a_segmentation_from_a_png_file_is_read_exactly(probed: LiveServer):
    labels = random_labels(1, SIDE, SIDE)
    (probed.base / "input").mkdir(exist_ok=True)
    picture = (colored(labels)[0] * 255).round().byte().numpy()
    Image.fromarray(picture).save(probed.base / "input" / "map.png")
    prompt = with_image("segmentation.ckpt", gray(labels))
    prompt["image"] = node("LoadImage", image="map.png")
    assert np.array_equal(drawn(probed.watch(prompt)), expected(probed, "segmentation.ckpt", segmentation=labels))


def test_depth_is_scaled_to_its_own_range_and_drawn_as_the_library_does(probed: LiveServer):
    depth = random_depth(1)
    by_library = expected(probed, "depth.ckpt", depth=depth)
    for picture in (depth[..., None], depth[..., None] * 0.25):
        assert np.array_equal(drawn(probed.watch(with_image("depth.ckpt", picture))), by_library)


@pytest.mark.parametrize("name", ["segmentation.ckpt", "depth.ckpt"])
def test_several_conditions_in_one_run_equal_each_alone(probed: LiveServer, name: str):
    if name == "depth.ckpt":
        pictures = random_depth(3)[..., None] * torch.tensor([1.0, 0.5, 0.25])[:, None, None, None]
    else:
        pictures = torch.cat([colored(random_labels(2, SIDE, SIDE)), gray(random_labels(1, SIDE, SIDE, seed=5))])
    together = probed.watch(with_image(name, pictures, batch_size=3))
    assert together.progress(CONDITION)[-1] == (3, 3)
    for item, picture in enumerate(pictures.split(1)):
        assert np.array_equal(drawn(together)[item], drawn(probed.watch(with_image(name, picture)))[0])


def test_one_map_serves_a_batch(probed: LiveServer):
    grids = drawn(probed.watch(with_image("depth.ckpt", random_depth(1)[..., None], batch_size=2)))
    assert np.array_equal(grids[0], grids[1])


def test_a_larger_picture_is_drawn_through_a_sliding_window_with_previews(probed: LiveServer):
    labels = random_labels(1, 2 * SIDE, 3 * SIDE)
    size = {"height": 2 * SIDE, "width": 3 * SIDE}
    run = probed.watch(with_image("segmentation.ckpt", gray(labels), **size), preview_method="auto")
    assert np.array_equal(drawn(run), expected(probed, "segmentation.ckpt", **size, segmentation=labels))
    assert pixels(run.images[SHOW][0]).shape == (4 * SIDE, 6 * SIDE, 3)
    height, width, _ = pixels(run.previews[-1].image).shape
    assert len(run.previews) >= 10 and (height, width) == (width * 2 // 3, width)


def test_a_smaller_picture_is_drawn_by_a_smaller_map(probed: LiveServer):
    depth = random_depth(1)[:, : 5 * FACTOR, : 4 * FACTOR]
    grid = drawn(probed.watch(with_image("depth.ckpt", depth[..., None], height=5, width=4)))
    assert np.array_equal(grid, expected(probed, "depth.ckpt", height=5, width=4, depth=depth))


def test_a_model_that_scales_its_maps_draws_by_one_of_any_size(probed: LiveServer):
    depth = random_depth(1)
    larger = depth.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for map_of_depth in (depth, larger):
        grid = drawn(probed.watch(with_image("scaled.ckpt", map_of_depth[..., None])))
        assert np.array_equal(grid, expected(probed, "scaled.ckpt", depth=map_of_depth))


def test_a_map_is_center_cropped_to_whole_tokens_and_keeps_no_transparency(probed: LiveServer):
    depth = random_depth(1)
    around = torch.full((1, SIDE * FACTOR + 1, SIDE * FACTOR + 1, 4), 0.5)
    around[:, :-1, :-1, :3] = depth[..., None]
    grid = drawn(probed.watch(with_image("depth.ckpt", around)))
    assert np.array_equal(grid, expected(probed, "depth.ckpt", depth=depth))


@pytest.mark.parametrize(("height", "width"), [(SIDE, SIDE), (7, 13)])
def test_coordinates_need_no_node(probed: LiveServer, height: int, width: int):
    grid = drawn(probed.watch(drawing("coordinates.ckpt", None, height=height, width=width)))
    assert np.array_equal(grid, expected(probed, "coordinates.ckpt", height=height, width=width))


LAYOUT = [Box(0, 0.25, 0.5, 0.25, 0.5), Box(1, 0.0, 0.0, 0.5, 0.125)]  # person and traffic light


def canvas_box(box: Box, description: str, width: int = 1024, height: int = 1024) -> dict[str, Any]:
    """A box as the host's canvas writes it."""
    place = {"x": box.x * width, "y": box.y * height, "width": box.width * width, "height": box.height * height}
    return {**place, "metadata": {"type": "obj", "text": "", "desc": description, "palette": []}}


def canvas_boxes(*descriptions: str, **size: int) -> list[dict[str, Any]]:
    return [canvas_box(box, text, **size) for box, text in zip(LAYOUT, descriptions, strict=True)]


def test_drawn_boxes_tell_their_classes_by_description_and_in_any_unit(probed: LiveServer):
    by_library = expected(probed, "boxes.ckpt", boxes=LAYOUT)
    assert not np.array_equal(by_library, expected(probed, "boxes.ckpt", boxes=LAYOUT[:1]))
    prompts = [
        with_boxes(canvas_boxes("person", "Traffic Light")),
        with_boxes(canvas_boxes("0", "1", width=64, height=32), width=64, height=32),
        with_boxes(canvas_boxes("", ""), labels="person, traffic_light"),
        with_boxes(canvas_boxes("cat", "dog"), labels="0, 1"),
    ]
    assert all(np.array_equal(drawn(probed.watch(prompt)), by_library) for prompt in prompts)


def test_the_outputs_of_the_hosts_box_editor_can_be_connected(probed: LiveServer):
    by_library = expected(probed, "boxes.ckpt", boxes=LAYOUT)
    prompt = with_boxes([])
    editor = {"__value__": canvas_boxes("person", "traffic light", width=512, height=256)}
    prompt["editor"] = node("CreateBoundingBoxes", width=512, height=256, editor_state=editor)
    prompt[CONDITION]["inputs"]["boxes"] = ["editor", 2]
    assert np.array_equal(drawn(probed.watch(prompt)), by_library)
    prompt[CONDITION]["inputs"].update(boxes=["editor", 1], labels="person, traffic light", width=512, height=256)
    assert np.array_equal(drawn(probed.watch(prompt)), by_library)


def test_boxes_of_a_detector_bring_their_classes_and_a_layout_for_each_picture(probed: LiveServer):
    """RT-DETR gives a list for each picture, in pixels, with names of COCO."""
    first = [{**canvas_box(LAYOUT[0], "", 640, 480), "label": "person", "score": 0.9}]
    both = [*first, {**canvas_box(LAYOUT[1], "", 640, 480), "label": "traffic light", "score": 0.8}]
    prompt = with_boxes([], width=640, height=480, batch_size=2)
    prompt["detector"] = node("ProbeBoxes", boxes=json.dumps([both, first]))
    prompt[CONDITION]["inputs"]["boxes"] = ["detector", 0]
    assert np.array_equal(drawn(probed.watch(prompt)), expected(probed, "boxes.ckpt", boxes=[LAYOUT, LAYOUT[:1]]))


def test_a_published_configuration_describes_a_file_and_a_users_file_of_that_name_wins(probed: LiveServer):
    listed = {
        name: probed.get("/object_info")[name]["input"]["optional"]["config_name"][1]["options"]
        for name in ("TamingLoadVQGAN", "TamingLoadTransformer")
    }
    published = {
        name: [option for option in options if option.startswith("published/")] for name, options in listed.items()
    }
    assert sorted(sum(published.values(), [])) == [f"published/{name}.yaml" for name in preset_names(PUBLISHED)]
    assert "published/vqgan_imagenet_f16_1024.yaml" in published["TamingLoadVQGAN"]
    assert "published/sflckr.yaml" in published["TamingLoadTransformer"]
    assert all(
        options[0] == "auto" and options[1 : 1 + len(published[name])] == published[name]
        for name, options in listed.items()
    )
    prompt = drawing("coordinates.ckpt", None)
    prompt[LOAD]["inputs"]["config_name"] = "published/sflckr.yaml"
    assert "does not fit coordinates.ckpt" in probed.watch(prompt).error
    folder = probed.base / "models" / "taming_transformers"
    (folder / "published").mkdir()
    (folder / "published" / "sflckr.yaml").write_bytes((folder / "coordinates.yaml").read_bytes())
    assert probed.watch(prompt).ending == "execution_success"


def failure(server: LiveServer, prompt: Prompt) -> str:
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    return run.error


DEPTH_IMAGE = random_depth(1)[..., None]
RED = torch.tensor([1.0, 0.0, 0.0]).expand(1, SIDE * FACTOR, SIDE * FACTOR, 3)
WRONG = {
    "a map without a map model": (
        with_image("coordinates.ckpt", DEPTH_IMAGE),
        ("transformer: coordinates.ckpt needs no condition",),
    ),
    "a map for a box model": (with_image("boxes.ckpt", DEPTH_IMAGE), ("transformer: boxes.ckpt", "Box Condition")),
    "a label for a map model": (
        drawing("depth.ckpt", node("TamingClassCondition", label="0")),
        ("transformer: depth.ckpt", "Image Condition"),
    ),
    "no map": (drawing("depth.ckpt", None), ("condition: depth.ckpt", "Image Condition")),
    "no boxes": (drawing("boxes.ckpt", None), ("condition: boxes.ckpt", "Box Condition")),
    "a map of another size": (
        with_image("depth.ckpt", DEPTH_IMAGE, width=8),
        ("condition: the map has 12x12 px", "16x12 px"),
    ),
    "a scaled map on another grid": (
        with_image("scaled.ckpt", DEPTH_IMAGE, width=4),
        ("condition: ", "12x12 px", "8x12 px"),
    ),
    "maps for another batch": (
        with_image("depth.ckpt", DEPTH_IMAGE.repeat(3, 1, 1, 1), batch_size=2),
        ("condition: ", "3 items", "batch 2"),
    ),
    "an empty batch": (with_image("depth.ckpt", torch.zeros(0, 8, 8, 3)), ("image: ", "empty")),
    "two channels": (with_image("depth.ckpt", torch.zeros(1, 8, 8, 2)), ("image: ", "2 channels")),
    "less than a token": (with_image("depth.ckpt", torch.zeros(1, 8, 1, 3)), ("image: ", "1x8")),
    "depth in colors": (with_image("depth.ckpt", RED), ("image: ", "in color")),
    "a photograph as labels": (
        with_image("segmentation.ckpt", torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))),
        ("image: ", "ade20k"),
    ),
    "labels beyond the last": (
        with_image("segmentation.ckpt", torch.full((1, 8, 8, 3), 200 / 255)),
        ("image: ", "200"),
    ),
    "another palette": (with_image("segmentation.ckpt", RED, "coco_stuff"), ("image: ", "183 colors", "151")),
    "boxes without a class": (with_boxes(canvas_boxes("person", "")), ("boxes: box 2", "labels")),
    "an unknown class": (with_boxes(canvas_boxes("person", "trafic light")), ("boxes: box 2", "'traffic light'")),
    "an unknown label": (with_boxes(canvas_boxes("", ""), labels="person, unicorn"), ("labels: ", "'unicorn'")),
    "too few labels": (with_boxes(canvas_boxes("", ""), labels="1, 2, 3"), ("labels: 3 for 2 boxes",)),
    "no box": (with_boxes([]), ("boxes: there are none",)),
    "boxes of a larger picture": (
        with_boxes(canvas_boxes("person", "0"), width=100, height=100),
        ("boxes: box 1", "100x100", "width and height"),
    ),
    "a box of no size": (with_boxes([canvas_box(Box(0, 0.5, 0.5, 0.0, 0.1), "person")]), ("boxes: Box 1", "nothing")),
    "a box without numbers": (with_boxes([{"x": "left", "metadata": {"desc": "0"}}]), ("boxes: box 1", "'left'")),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_with_the_input_and_the_cure(probed: LiveServer, what: str):
    prompt, said = WRONG[what]
    message = failure(probed, prompt)
    assert message.startswith(said[0]) and all(part in message for part in said)


def test_a_map_of_another_transformer_is_refused_although_both_read_depth(probed: LiveServer):
    prompt = with_image("depth.ckpt", DEPTH_IMAGE)
    prompt["other"] = node("TamingLoadTransformer", transformer_name="other_depth.ckpt")
    prompt[CONDITION]["inputs"]["transformer"] = ["other", 0]
    message = failure(probed, prompt)
    assert message.startswith("condition: ") and "other_depth.ckpt" in message


def test_encoding_maps_can_be_canceled(probed: LiveServer):
    many = random_depth(40)[..., None]

    def stop(message: Any) -> None:
        if message.kind == "executing" and message.data["node"] == CONDITION:
            probed.interrupt()

    run = probed.watch(with_image("depth.ckpt", many), on_message=stop)
    assert run.ending == "execution_interrupted"
