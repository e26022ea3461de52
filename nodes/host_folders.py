"""The pack's model folders among those of the host: in which order they are looked through, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import folder_paths
import yaml
from comfy.cli_args import args

from ..taming.errors import CheckpointError

VQGAN_FOLDER = "vqgan"
TRANSFORMER_FOLDER = "taming_transformers"
RECIPE_FOLDER = "taming_recipes"
WEIGHTS_SUFFIXES = {".safetensors", ".ckpt", ".pt", ".pth"}
CONFIG_SUFFIXES = {".yaml", ".yml"}
CONTENTS = {VQGAN_FOLDER: WEIGHTS_SUFFIXES, TRANSFORMER_FOLDER: WEIGHTS_SUFFIXES, RECIPE_FOLDER: CONFIG_SUFFIXES}

_in_order: set[str] = set()  # folders whose order was seen to: another pack may put a default of its own first, later


def register_folders() -> None:
    """Make the pack's model folders known to the host, and to everything that asks it."""
    for folder in CONTENTS:
        paths_of(folder)


def paths_of(folder: str) -> list[str]:
    """Where model folder `folder` is, in the order in which it is looked through; what is saved goes into the first.

    As for the host's own folders, that in ComfyUI's models/ comes first, after those that the user's
    extra_model_paths.yaml marks as default. Other packs may register the same folder, also later and with other kinds
    of files: so it is looked at whenever it is used.
    """
    paths, suffixes = folder_paths.folder_names_and_paths.get(folder, ([], set()))
    own, wanted = str(Path(folder_paths.models_dir) / folder), CONTENTS[folder]
    if own not in paths or not wanted <= set(suffixes) or folder not in _in_order:
        default = _default_paths(folder)
        first = [path for path in paths if path in default]
        rest = [path for path in paths if path not in default and path != own]
        ordered = [*first, *([] if own in first else [own]), *rest]
        folder_paths.folder_names_and_paths[folder] = (ordered, set(suffixes) | wanted)
        for cache in (folder_paths.filename_list_cache, folder_paths.cache_helper.cache):
            cache.pop(folder, None)
        _in_order.add(folder)
    return folder_paths.get_folder_paths(folder)


def _default_paths(folder: str) -> set[str]:
    """The paths that extra_model_paths.yaml, or another file of its kind, gives for `folder` under `is_default`.

    The host does not keep which they were. They are spelled as its utils/extra_config.py spells them.
    """
    beside_host = os.path.join(os.path.dirname(os.path.realpath(folder_paths.__file__ or "")), "extra_model_paths.yaml")
    found: set[str] = set()
    for file in (beside_host, *chain(*(args.extra_model_paths_config or ()))):
        try:
            sections = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # there is none, or the host has said what is wrong with it
        here = os.path.dirname(os.path.abspath(file))
        for section in sections.values() if isinstance(sections, dict) else ():
            if isinstance(section, dict) and section.get("is_default"):
                base = os.path.expandvars(os.path.expanduser(section.get("base_path") or ""))
                lines = str(section.get(folder) or "").split("\n")
                found.update(os.path.normpath(os.path.join(here, base, line)) for line in lines if line)
    return found


def file_names(folder: str, suffixes: set[str]) -> list[str]:
    """The files in `folder` that end in one of `suffixes`, wherever it is, in their order."""
    paths = paths_of(folder)
    if suffixes <= CONTENTS[folder]:  # which the host keeps
        try:
            names = folder_paths.get_filename_list(folder)
        except OSError:  # its cache does not expect that a folder goes, as that of a share does
            folder_paths.filename_list_cache.pop(folder, None)
            names = folder_paths.get_filename_list(folder)
        return folder_paths.filter_files_extensions(names, suffixes)
    found: set[str] = set()
    for path in paths:
        files, _ = folder_paths.recursive_search(path, excluded_dir_names=[".git"])
        found.update(folder_paths.filter_files_extensions(files, suffixes))
    return sorted(found)


def listed_path(folder: str, name: str, names: list[str]) -> Path:
    """The file `name`, one of `names`, in the first place of `folder` that has it.

    Only what is listed is opened: the host does not check names that come over a link.

    Raises: CheckpointError if there is none.
    """
    path = next(places_of(folder, name), None) if name in names else None
    if path is not None:
        return path
    if name in names and any(os.path.islink(os.path.join(root, name)) for root in paths_of(folder)):
        raise CheckpointError(f"{name!r} in models/{folder} is a link that leads nowhere. Mend it, or choose another.")
    raise CheckpointError(f"there is no {name!r} in models/{folder}. Put it there, press R and choose it again.")


def places_of(folder: str, name: str) -> Iterator[Path]:
    """The files that are called `name` in `folder`, in the order in which it is looked through."""
    return (path for path in (Path(root, name) for root in paths_of(folder)) if path.is_file())


def find_tokenizers(file_name: str) -> list[Path]:
    """The weights files of that name in any place of the model folders, those of transformers first."""
    return [
        path
        for folder in (TRANSFORMER_FOLDER, VQGAN_FOLDER)
        for name in file_names(folder, WEIGHTS_SUFFIXES)
        if os.path.basename(name) == file_name
        for path in places_of(folder, name)
    ]
