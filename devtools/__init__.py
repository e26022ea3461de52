"""What `dev.py` is made of: the private environment, a real ComfyUI and its server. Left out of the pack."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".comfyui"
