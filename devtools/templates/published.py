"""The workflows that need a file to be downloaded: the editor offers it, by what taming/zoo says of it."""

from __future__ import annotations

import json
from typing import Any

from .. import ROOT
from .embedded import compare
from .graph import Added, Graph, Output, box

SIDE_PX = 256
ZOO = {model["name"]: model for model in json.loads((ROOT / "taming/zoo/models.json").read_text(encoding="utf-8"))}


def llamagen(graph: Graph) -> None:
    _tokenizer(
        graph,
        "llamagen_vq16_c2i",
        "Reconstruct with LlamaGen",
        "A large VQGAN for photographs of all kinds: the 16x16 px of a token come back so well that one has to look "
        "for the difference.",
    )


def ibq(graph: Graph) -> None:
    _tokenizer(
        graph,
        "ibq_16384",
        "Reconstruct with IBQ",
        "One of the most faithful tokenizers at 16 px for each token, with 16,384 codes, nearly all of them in use.",
    )


def imagenet_class(graph: Graph) -> None:
    name = "cin_transformer"
    graph.note(
        "## Draw an ImageNet class\n\n"
        "The largest of the published transformers draws any of ImageNet's thousand classes: animals, things, food, "
        f"places.\n\n{_get(name)}\n\n"
        "- **Another class:** a name or a number from 0 to 999, or several: *tabby, volcano, pizza, 207*.\n"
        "- **top_k** 600 and **top_p** 0.92 are its authors' settings.\n"
        "- With 1.4 billion weights it takes 6 GB of memory, half of that on a GPU that computes in bfloat16."
    )
    model = _load(graph, name)
    label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="golden retriever")
    _draw(graph, model, "taming/imagenet", label, batch_size=4, top_k=600, top_p=0.92)


def face(graph: Graph) -> None:
    name = "faceshq_transformer"
    graph.note(
        "## Draw a face\n\n"
        "The transformer draws a portrait from nothing. All it is told is where in the picture it draws, and the "
        f"sampler does that by itself: no condition has to be connected.\n\n{_get(name)}\n\n"
        "- **Calmer faces:** lower **top_k** or **temperature**.\n"
        "- **Larger:** raise **width** and **height** of *Empty Tokens*, to 320 for example; a window slides over what "
        "is larger than 256x256."
    )
    _draw(graph, _load(graph, name), "taming/face", batch_size=4, top_k=100)


def map_of_labels(graph: Graph) -> None:
    name = "sflckr"
    graph.note(
        "## Draw from a map of labels\n\n"
        "A map says what is where, one color for each of 182 labels, and the transformer draws a landscape of it.\n\n"
        f"{_get(name)}\n\n"
        "- **Move, resize, add boxes** in *Boxes to Map* (in Nodes 2.0). The descriptions are the names in "
        "*taming/conditioning/vocabularies/sflckr.txt*: *clouds, sea, sand, tree, snow, rock*.\n"
        "- **Your own map:** connect a picture in these colors to *Image Condition*.\n"
        "- **Larger:** the picture gets the size of the map; a window slides over what is larger than 256x256."
    )
    boxes = [
        box(0, 0, 256, 150, "sky-other"),
        box(40, 40, 176, 110, "mountain"),
        box(0, 146, 256, 72, "sea"),
        box(0, 204, 256, 52, "grass"),
    ]
    with graph.group("1. What is where"):
        boxed = graph.add("TamingBoxesToMap", boxes=boxes, palette="sflckr", width=SIDE_PX, height=SIDE_PX)
        graph.add("PreviewImage", "The map", images=boxed.output)
    with graph.group("2. Draw it"):
        model = _load(graph, name)
        told = graph.add("TamingImageCondition", transformer=model["TRANSFORMER"], image=boxed.output)
        _draw(graph, model, "taming/map", told, like=boxed.output, top_k=100)


def depth(graph: Graph) -> None:
    name = "drin_transformer"
    graph.note(
        "## Draw from depth\n\n"
        "A gray picture says how near everything is, white for near, and the transformer draws an animal or a thing of "
        f"that shape.\n\n{_get(name)}\n\n"
        "- **Your own depth:** connect a *Load Image*, or a node that finds depth and draws near as white, to *Image "
        "Condition*. Each map is scaled to its own range.\n"
        "- **Another shape:** change the blocks, their fading, and where they are put.\n"
        "- **Larger:** the picture gets the size of the map; a window slides over what is larger than 256x256."
    )
    with graph.group("1. A shape"):
        far = graph.add("SolidMask", "Far away", value=0.0, width=SIDE_PX, height=SIDE_PX)
        floor = graph.add("SolidMask", "A floor", value=0.65, width=256, height=150)
        nearer = graph.add("FeatherMask", "It comes nearer", mask=floor.output, top=150)
        body = graph.add("SolidMask", "A body", value=0.5, width=150, height=84)
        round_body = graph.add("FeatherMask", "Round", mask=body.output, left=42, top=36, right=42, bottom=20)
        head = graph.add("SolidMask", "A head", value=0.6, width=64, height=70)
        round_head = graph.add("FeatherMask", "Round", mask=head.output, left=28, top=28, right=28, bottom=28)
        shape = far
        for title, part, x, y in (
            ("Floor", nearer, 0, 106),
            ("Body on it", round_body, 44, 104),
            ("Head on it", round_head, 156, 66),
        ):
            shape = graph.add(
                "MaskComposite", title, destination=shape.output, source=part.output, x=x, y=y, operation="add"
            )
        image = graph.add("MaskToImage", mask=shape.output)
        graph.add("PreviewImage", "The depth", images=image.output)
    with graph.group("2. Draw it"):
        model = _load(graph, name)
        told = graph.add("TamingImageCondition", transformer=model["TRANSFORMER"], image=image.output)
        _draw(graph, model, "taming/depth", told, like=image.output, batch_size=4, top_k=100)


def boxes(graph: Graph) -> None:
    name = "coco_scene_30"
    graph.note(
        "## Draw from boxes of things\n\n"
        "Boxes say which things are in the picture and where, and the transformer draws a scene of them.\n\n"
        f"{_get(name)}\n\n"
        "- **Move, resize, add boxes** in *Box Condition*, and write what each is as its description: *person, dog, "
        "car, sky-other*, or another name of *taming/conditioning/vocabularies/coco_scenes.txt*. "
        "The editor for them shows itself in Nodes 2.0.\n"
        "- **Larger:** raise **width** and **height** of *Empty Tokens*; the boxes stretch along."
    )
    model = _load(graph, name)
    scene = [
        box(0, 0, 256, 104, "sky-other"),
        box(0, 96, 256, 64, "sea"),
        box(0, 152, 256, 104, "sand"),
        box(44, 60, 52, 170, "person"),
        box(120, 150, 84, 76, "dog"),
        box(168, 14, 56, 44, "kite"),
    ]
    told = graph.add("TamingBoxCondition", transformer=model["TRANSFORMER"], boxes=scene, width=SIDE_PX, height=SIDE_PX)
    _draw(graph, model, "taming/boxes", told, batch_size=4, top_k=100)


def size_of(name: str) -> str:
    """How large the file of a model is, as people say it; empty where the zoo does not know."""
    size = ZOO[name]["size"] or ""
    if not size.endswith(" bytes"):
        return size
    count = int(size.removesuffix(" bytes").replace(",", ""))
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def file_to_offer(name: str) -> dict[str, str]:
    """A model of the zoo as the editor wants it: the file, where it is, and the folder that it belongs in.

    It offers to fetch what is at huggingface.co, and shows the address of anything else.
    """
    model = ZOO[name]
    return {"name": model["file"], "url": model["url"] or model["source"], "directory": model["folder"]}


def _get(name: str) -> str:
    """What a note says of the file that the workflow needs."""
    model = ZOO[name]
    size = f" ({size_of(name)})" if size_of(name) else ""
    return (
        f"Needs **{model['file']}** in *models/{model['folder']}*{size}: get it from [its authors]({model['source']}). "
        "Press **R** when it is there."
    )


def _tokenizer(graph: Graph, name: str, title: str, text: str) -> None:
    model = ZOO[name]
    graph.note(
        f"## {title}\n\n{text}\n\n"
        f"Needs **{model['file']}** in *models/vqgan* ({size_of(name)}): press **Download** when ComfyUI says that it "
        f"is missing, or get it from [its authors]({model['source']}). Press **R** when it is there.\n\n"
        "The picture is at the left, what its tokens give at the right. Choose one of your own in *Load Image*: any "
        "size works."
    )
    loaded = graph.add("TamingLoadVQGAN", models=[file_to_offer(name)], vqgan_name=model["file"])
    compare(graph, loaded)


def _load(graph: Graph, name: str) -> Added:
    return graph.add("TamingLoadTransformer", models=[file_to_offer(name)], transformer_name=ZOO[name]["file"])


def _draw(
    graph: Graph,
    model: Added,
    prefix: str,
    told: Added | None = None,
    *,
    like: Output | None = None,
    batch_size: int = 1,
    **settings: Any,
) -> None:
    """Draw from nothing, pictures of the size of `like` if it is given, with the settings of the model's authors."""
    size: dict[str, Any] = {"width": SIDE_PX, "height": SIDE_PX}
    if like is not None:
        measured = graph.add("GetImageSize", image=like)
        size = {"width": measured["width"], "height": measured["height"]}
    tokens = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"], batch_size=batch_size, **size)
    if told is not None:
        settings["condition"] = told.output
    sampled = graph.add(
        "TamingSample",
        control="randomize",
        transformer=model["TRANSFORMER"],
        tokens=tokens.output,
        seed=1,
        settings="as set",
        **settings,
    )
    decoded = graph.add("TamingDecode", vqgan=model["VQGAN"], tokens=sampled.output)
    graph.add("SaveImage", images=decoded.output, filename_prefix=prefix)
