"""Taming: discrete-token image models as ComfyUI nodes. ComfyUI awaits the entry point; importing loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import TamingExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> TamingExtension:
    """Return the extension that registers the nodes; ComfyUI awaits this once at its start."""
    import logging

    from .install import describe_lacking

    lacking = describe_lacking()
    if lacking:  # said first: it may be why the nodes do not load
        logging.getLogger(__name__).warning(lacking)
    from .nodes import TamingExtension  # needs the host, so it cannot stand at module scope

    return TamingExtension()
