"""What ComfyUI-Manager runs once the requirements are installed: says where model files go. Downloads nothing."""

import sys

MESSAGE = """\
Taming needs nothing else: its embedded models are part of it (Templates > taming-tokens > Draw a landscape).
Your own models: VQGAN tokenizers go into models/vqgan, transformers into models/taming_transformers,
each with its .yaml of the same name beside it when it has one."""


def main() -> int:
    print(MESSAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
