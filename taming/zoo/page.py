"""The page about the zoo that people read, docs/models.md, written from `models.json`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby

from ..configs import PUBLISHED, preset_names
from . import ZooModel, read_zoo

INTRODUCTION = """\
<!-- Written by taming.zoo.page from taming/zoo/models.json: edit those, then run
     `python -m taming.zoo.page > docs/models.md`. -->

# Models

Every checkpoint known to us that this pack is meant for: tokenizers (VQGANs) and transformers. None of them is needed
to start, because two small models come with the pack. They are other people's work, under other people's licenses:
read the page behind a model's name before you use it. Nothing is downloaded unless you ask for it.

## Where files go

| what | folder |
|---|---|
| tokenizers (VQGAN) | `ComfyUI/models/vqgan` |
| transformers, and whole checkpoints with their first stage | `ComfyUI/models/taming_transformers` |

If a model comes with a `.yaml`, put it beside the weights under the same name: `sflckr.ckpt` and `sflckr.yaml`. Most
models load without one. Keep the YAML for transformers: the number of attention heads cannot be read from weights. If
it is lost, the pack has one for every model with a `preset` in the tables; it bears the model's name. `inspect` says
which presets have the shapes of a file:

```bash
python -m taming inspect last.ckpt
python -m taming inspect last.ckpt --config cin_transformer
```

With a direct address (`download` in the tables), one command puts a file in its place. It goes on where it was
interrupted, and checks size and SHA-256 where they are known. Without a name, it lists all names:

```bash
python -m taming download llamagen_vq16_c2i --folder ComfyUI/models/vqgan
python -m taming download
```

For the others, open the page behind the name and save the file yourself.

## What to do with a .ckpt

Load it as it is: what Lightning left in it beside the weights is skipped, and nothing in the file is executed. A file
that names code of somebody else's is refused; `convert` takes the weights out of it, again without running anything.
The result is one safetensors file that loads faster and is smaller, because optimizers and losses are left out:

```bash
python -m taming inspect last.ckpt
python -m taming convert last.ckpt --out vqgan_imagenet_f16_16384.safetensors
```

Of a file with raw and averaged weights the averages are taken, and the log says so; `--part PREFIX` takes one of
several models. `inspect` says what any file holds, and what is missing or why it is refused.
[What is known to load](checkpoints.md), and equal to what in the original code, is a table of its own.

## Which ones first

- **A tokenizer for photographs**: `llamagen_vq16_c2i`, or `llamagen_vq8` for finer detail and four times the tokens.
  `ibq_16384` is more faithful still at 16 px.
- **As close to the original picture as it gets**: `ldm_vq_f4`.
- **The look of 2021**: `vqgan_imagenet_f16_16384`, which VQGAN+CLIP used, or `vqgan_gumbel_f8`.
- **A transformer that draws**: `sflckr` (landscapes, with its tokenizer inside). It is the only one of the original
  transformers that a direct address is known for.

## What is hard to get

Addresses were collected from the authors' pages and from people's scripts. None was tried from where this page was
written; the servers may have changed since.

- The links `k00.fr/...` of the original transformers lead to a file host that people report as slow or dead
  (taming-transformers, issues 38 and 196). If one fails, ask for a copy where people have kept these files.
- Archives (`.zip`, `.tar.gz`) must be unpacked: the file to load is the `.ckpt` inside.
- Files in Flax or JAX formats (`.msgpack`) are not read.
"""

KIND_TITLES = {"vqgan": "Tokenizers", "transformer": "Transformers, by what they are told"}
HEADER = """\
| name | what it is for | configuration | parameters | file | license | get it |
|---|---|---|--:|--:|---|---|"""
UNKNOWN = "?"
PRESET_LINK = "[preset](../taming/configs/published/{}.yaml)"  # from where the page lies


def models_page(models: Sequence[ZooModel] | None = None) -> str:
    """The whole page as Markdown, for `models` or for the zoo."""
    models = read_zoo() if models is None else models
    sections = [INTRODUCTION]
    for kind, title in KIND_TITLES.items():
        sections.append(f"## {title}\n")
        of_kind = [model for model in models if model.kind == kind]
        for family, members in groupby(of_kind, key=lambda model: model.family):
            rows = "\n".join(_row(model) for model in members)
            sections.append(f"### {family}\n\n{HEADER}\n{rows}\n")
    sections.append(f'"{UNKNOWN}" means that we do not know it. Sizes are those of the published files.\n')
    return "\n".join(sections)


def _row(model: ZooModel) -> str:
    has_preset = model.name in preset_names(PUBLISHED)
    cells = (
        f"[`{model.name}`]({model.source})",
        model.purpose + (f" {model.note}" if model.note else ""),
        model.configuration + (f" ({PRESET_LINK.format(model.name)})" if has_preset else ""),
        f"{model.parameters:,}" if model.parameters else UNKNOWN,
        model.size or UNKNOWN,
        model.license or UNKNOWN,
        "`download`" if model.url else "by hand",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(models_page())
