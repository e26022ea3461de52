"""The workflows that run at once: they take the embedded models, and pictures that come with the pack."""

from __future__ import annotations

from .graph import Added, Graph, Output, box

CLASS_MODEL = "embedded/scenes_class_transformer.safetensors"
MAP_MODEL = "embedded/scenes_segmentation_transformer.safetensors"
TOKENIZER = "embedded/scenes_vqgan.safetensors"
SIDE_PX, TOKEN_PX = 256, 8  # that photographs are edited at, about, and of a token
EDITED_MEGAPIXELS, COMPARED_MEGAPIXELS = 0.06, 0.25  # of 256x256 and of 512x512, in steps of 16 px
MODEL_PX, ENLARGED = 128, 4.0  # of a picture that the models draw, and how much larger it is looked at
PAIR_PX = (720, 440)  # of a node that shows two pictures side by side
PHOTO, MASKED_PHOTO = "taming_lake.jpg", "taming_lake_mask.webp"  # of web/examples; the mask is over the water
LABELS = "alpine, sunset_sea, desert, pine_forest, night, winter, aurora, beach, city_night, autumn, volcano, canyon"
LIVE = "To watch it grow, set **Settings > Live preview method** to *auto* first."


def draw(graph: Graph) -> None:
    """The first that anyone opens."""
    graph.note(
        "## Draw a landscape\n\n"
        "A transformer draws a picture token by token, and a VQGAN turns the tokens into pixels. Press **Run**: one "
        f"picture of each label appears. {LIVE}\n\n"
        f"Other **labels**: *{LABELS}*. Every run draws new pictures; set *control after generate* to *fixed* to keep "
        "one."
    )
    model = graph.add("TamingLoadTransformer", transformer_name=CLASS_MODEL)
    label = graph.add(
        "TamingClassCondition", transformer=model["TRANSFORMER"], label="alpine, sunset_sea, beach, aurora"
    )
    tokens = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"], batch_size=4)
    _, drawn = draw_tokens(graph, model, tokens.output, label, seed=1)
    saved = _save(graph, _enlarge(graph, drawn), "taming/landscape")
    graph.show_in_app((label, "label"), output=saved)


def inpaint(graph: Graph) -> None:
    graph.note(
        "## Inpaint a photo\n\n"
        "What the mask covers is forgotten and drawn again: the lake becomes a beach. The result is pasted over the "
        "photo in full size, so everything else stays as it is.\n\n"
        "- **Your photo:** choose it in *Load Image*, then right-click > *Open in MaskEditor* and paint.\n"
        f"- **Another filling:** change the **label**: *{LABELS}*.\n"
        "- Something of the old shows through: raise **grow**."
    )
    with graph.group("1. Forget what the mask covers"):
        photo = graph.add("LoadImage", image=MASKED_PHOTO)
        model = graph.add("TamingLoadTransformer", transformer_name=CLASS_MODEL)
        tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=fit(graph, photo["IMAGE"]))
        forgotten = graph.add("TamingForgetTokens", tokens=tokens.output, mask=photo["MASK"])
    with graph.group("2. Draw it again"):
        label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="beach")
        _, drawn = draw_tokens(graph, model, forgotten.output, label, seed=3)
    with graph.group("3. Paste it over the photo"):
        pasted = paste(graph, photo["IMAGE"], drawn, photo["MASK"])
        saved = _save(graph, pasted, "taming/inpaint")
    graph.show_in_app((photo, "image"), (label, "label"), output=saved)


def outpaint(graph: Graph) -> None:
    graph.note(
        "## Outpaint a panorama\n\n"
        "*Pad Tokens* adds unknown tokens at the right of a picture, and the transformer draws the landscape on, as "
        f"far as you like: a window slides along. {LIVE}\n\n"
        f"- **Wider:** raise **right**; one token is {TOKEN_PX} px.\n"
        f"- **Another land:** change the **label**: *{LABELS}*.\n"
        "- **Your picture:** connect a *Load Image* to an *Encode to Tokens*, and that to *Pad Tokens*. *left*, *top* "
        "and *bottom* work too, with a harder seam: models draw from the upper left to the lower right."
    )
    with graph.group("1. A picture"):
        model = graph.add("TamingLoadTransformer", transformer_name=CLASS_MODEL)
        label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="alpine")
        empty = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"])
        first, picture = draw_tokens(graph, model, empty.output, label, seed=4, control="fixed")
        graph.add("PreviewImage", "The picture", images=picture)
    with graph.group("2. Draw on to the right"):
        padded = graph.add("TamingPadTokens", tokens=first.output, right=4 * MODEL_PX // TOKEN_PX)
        _, drawn = draw_tokens(graph, model, padded.output, label, seed=1)
        saved = _save(graph, _enlarge(graph, drawn), "taming/panorama")
    graph.show_in_app((label, "label"), (padded, "right"), output=saved)


def complete(graph: Graph) -> None:
    graph.note(
        "## Complete a photo\n\n"
        "The lower part of the photo is forgotten, and drawn again in four ways from what is left.\n\n"
        "- **Your photo:** choose it in *Load Image*.\n"
        f"- **Other endings:** change the **labels**, one for each of the four: *{LABELS}*.\n"
        "- **Keep more:** raise **y** in *Combine Masks*."
    )
    low = 7 * SIDE_PX // 16  # px
    with graph.group("1. Forget the lower part"):
        photo = graph.add("LoadImage", image=PHOTO)
        four = graph.add("RepeatImageBatch", "Four times", image=photo["IMAGE"], amount=4)
        model = graph.add("TamingLoadTransformer", transformer_name=CLASS_MODEL)
        tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=fit(graph, four.output))
        nothing = graph.add("SolidMask", "Nothing", value=0.0, width=SIDE_PX, height=SIDE_PX)
        part = graph.add("SolidMask", "A lower part", width=SIDE_PX, height=low)
        mask = graph.add(
            "MaskComposite", destination=nothing.output, source=part.output, y=SIDE_PX - low, operation="add"
        )
        forgotten = graph.add("TamingForgetTokens", tokens=tokens.output, mask=mask.output)
    with graph.group("2. Draw it again"):
        label = graph.add(
            "TamingClassCondition", transformer=model["TRANSFORMER"], label="beach, desert, autumn, night"
        )
        _, drawn = draw_tokens(graph, model, forgotten.output, label, seed=4)
    with graph.group("3. Paste it over the photo"):
        saved = _save(graph, paste(graph, four.output, drawn, mask.output), "taming/complete")
    graph.show_in_app((photo, "image"), (label, "label"), output=saved)


def vary(graph: Graph) -> None:
    graph.note(
        "## Vary an image\n\n"
        "Half of the picture's tokens are forgotten, in patches, and drawn again in four ways. What is left holds the "
        "composition together.\n\n"
        "- **How far:** **strength** in *Forget Tokens*: 0.3 stays close, 0.8 keeps a hint.\n"
        "- **Your picture:** connect a *Load Image* to *Four times*. A landscape works best: the model draws what is "
        f"missing as what the **label** says: *{LABELS}*."
    )
    with graph.group("1. A picture"):
        model = graph.add("TamingLoadTransformer", transformer_name=CLASS_MODEL)
        label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="alpine")
        empty = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"])
        _, picture = draw_tokens(graph, model, empty.output, label, seed=2, control="fixed")
        graph.add("PreviewImage", "The picture", images=picture)
    with graph.group("2. Forget half of it"):
        four = graph.add("RepeatImageBatch", "Four times", image=picture, amount=4)
        tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=four.output)
        forgotten = graph.add("TamingForgetTokens", tokens=tokens.output, strength=0.5, patch=4)
    with graph.group("3. Draw it again"):
        _, drawn = draw_tokens(graph, model, forgotten.output, label, seed=5)
        _save(graph, _enlarge(graph, drawn), "taming/vary")


def draw_from_boxes(graph: Graph) -> None:
    graph.note(
        "## Draw from boxes\n\n"
        "Each box says what stands where, and *Boxes to Map* paints a map of them, which the transformer draws by.\n\n"
        "- **Move, resize, add boxes** in *Boxes to Map*; the description is one of *sky, sun_moon, cloud, mountain, "
        "ground, tree, water, building, object*. The editor for them shows itself in Nodes 2.0 (a switch in ComfyUI's "
        "main menu).\n"
        "- **Or paint:** connect a picture in the map's colors to *Image Condition*."
    )
    boxes = [
        box(0, 70, 128, 58, "water"),
        box(0, 52, 50, 20, "mountain"),
        box(80, 40, 18, 18, "sun_moon"),
        box(30, 20, 44, 8, "cloud"),
    ]
    with graph.group("1. What stands where"):
        boxed = graph.add("TamingBoxesToMap", boxes=boxes, palette="scenes", background="sky")
        graph.add("PreviewImage", "The map", images=boxed.output)
    with graph.group("2. Draw it"):
        model = graph.add("TamingLoadTransformer", transformer_name=MAP_MODEL)
        told = graph.add("TamingImageCondition", transformer=model["TRANSFORMER"], image=boxed.output)
        tokens = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"], batch_size=4)
        _, drawn = draw_tokens(graph, model, tokens.output, told, seed=1)
        _save(graph, _enlarge(graph, drawn), "taming/boxes")


def reconstruct(graph: Graph) -> None:
    graph.note(
        "## Reconstruct an image\n\n"
        "A VQGAN turns the picture into a grid of numbers, its tokens, and draws it again from them alone: the picture "
        "is at the left, what its tokens give at the right.\n\n"
        "The embedded VQGAN is 5 MB and saw painted landscapes, crops of ten photographs and emoji: it redraws "
        "everything as if with a brush. A large one keeps far more, in *Reconstruct with LlamaGen*.\n\n"
        "Choose a picture of your own in *Load Image*: any size works."
    )
    model = graph.add("TamingLoadVQGAN", vqgan_name=TOKENIZER)
    compare(graph, model)


def compare(graph: Graph, model: Added) -> None:
    """Show a photo beside what a tokenizer gives back of it."""
    photo = graph.add("LoadImage", image=PHOTO)
    scaled = graph.add(
        "ImageScaleToTotalPixels",
        image=photo["IMAGE"],
        upscale_method="lanczos",
        megapixels=COMPARED_MEGAPIXELS,
        resolution_steps=16,
    )
    tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=scaled.output)
    decoded = graph.add("TamingDecode", vqgan=model["VQGAN"], tokens=tokens.output)
    both = graph.add("ImageStitch", "Side by side", image1=scaled.output, image2=decoded.output)
    graph.add("PreviewImage", "The picture, and what its tokens give", size=PAIR_PX, images=both.output)


def train(graph: Graph) -> None:
    graph.note(
        "## Train on your own pictures\n\n"
        "1. Make a folder **my_pictures** in ComfyUI's *input* folder, with a folder of some hundred pictures for "
        "each class in it: *cats*, *dogs*, ...\n"
        "2. Press **Run**. First a tokenizer learns the pictures, then a transformer learns to draw its tokens, then "
        "it draws. The nodes show how it goes.\n\n"
        "The two *small* presets take about an hour each on two CPU cores, and minutes on a GPU. For a first try set "
        "**steps** to 300 in both.\n\n"
        "**Cancel keeps the work:** Run goes on where it stopped. To train anew, give the runs other names."
    )
    with graph.group("1. Train a tokenizer"):
        recipe = graph.add("TamingRecipe", preset="pictures_vqgan_small", folder="my_pictures")
        tokenizer = graph.add("TamingTrainVQGAN", recipe=recipe.output, run="taming/tokenizer")
    with graph.group("2. Train a class model"):
        recipe = graph.add("TamingRecipe", preset="pictures_class_small", folder="my_pictures")
        trained = graph.add(
            "TamingTrainTransformer", recipe=recipe.output, vqgan=tokenizer["VQGAN"], run="taming/class_model"
        )
        graph.add("TamingSaveTransformer", transformer=trained["TRANSFORMER"], filename_prefix="my_class_model")
    with graph.group("3. Draw with it"):
        label = graph.add("TamingClassCondition", transformer=trained["TRANSFORMER"], label="0, 1")
        tokens = graph.add("TamingEmptyTokens", vqgan=tokenizer["VQGAN"], batch_size=2)
        sampled = graph.add(
            "TamingSample",
            control="randomize",
            transformer=trained["TRANSFORMER"],
            tokens=tokens.output,
            condition=label.output,
            seed=1,
        )
        decoded = graph.add("TamingDecode", vqgan=tokenizer["VQGAN"], tokens=sampled.output)
        _save(graph, _enlarge(graph, decoded.output), "taming/own_class")


def fit(graph: Graph, image: Output) -> Output:
    """Scale a picture to about the side that it is edited at, in whole tokens, its proportions kept."""
    return graph.add(
        "ImageScaleToTotalPixels",
        image=image,
        upscale_method="lanczos",
        megapixels=EDITED_MEGAPIXELS,
        resolution_steps=16,
    ).output


def paste(graph: Graph, photo: Output, drawn: Output, mask: Output) -> Output:
    """Put what was drawn over a photo of any size."""
    return graph.add("ImageCompositeMasked", destination=photo, source=drawn, mask=mask, resize_source=True).output


def draw_tokens(
    graph: Graph, model: Added, tokens: Output, told: Added, seed: int, control: str = "randomize"
) -> tuple[Added, Output]:
    """Draw what is unknown, and decode it; gives the sampler and the picture."""
    sampled = graph.add(
        "TamingSample",
        control=control,
        transformer=model["TRANSFORMER"],
        tokens=tokens,
        condition=told.output,
        seed=seed,
    )
    return sampled, graph.add("TamingDecode", vqgan=model["VQGAN"], tokens=sampled.output).output


def _enlarge(graph: Graph, image: Output) -> Output:
    return graph.add("ImageScaleBy", image=image, upscale_method="lanczos", scale_by=ENLARGED).output


def _save(graph: Graph, image: Output, prefix: str) -> Added:
    return graph.add("SaveImage", images=image, filename_prefix=prefix)
