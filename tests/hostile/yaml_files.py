"""Configurations that are malformed, or made to construct objects or exhaust the parser."""

from __future__ import annotations

from .forge import Hostile, fixed

TARGET = "model:\n  target: {}\n  params: {{}}\n"
YAML = [  # beside a good VQGAN; names of the files are without their stem
    Hostile(".yaml", lambda canary: f'!!python/object/apply:os.system ["touch {canary}"]'.encode(), ("plain YAML",)),
    Hostile(".yml", lambda canary: f'a: !!python/object/new:os.system ["touch {canary}"]'.encode(), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: !!python/name:os.system"), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: !!python/module:antigravity"), ("plain YAML",)),
    Hostile(".yaml", fixed(TARGET.format("os.system").encode()), ("unknown target 'os.system'", "never imported")),
    Hostile(".yaml", fixed(TARGET.format("taming.models.vqgan.VQGAN").encode()), ("known here are", "VQModel")),
    Hostile(".yaml", fixed(TARGET.format("[1, 2]").encode()), ("unknown target [1, 2]",)),
    Hostile(".yaml", fixed(b"model:\n  target: ${oc.env:HOME}\n"), ("interpolations",)),
    Hostile(
        ".yaml",
        fixed(b"a: &a [1,1]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 122))),
        ("uses aliases",),
    ),
    Hostile(".yaml", fixed(b"a: &a [*a]"), ("uses aliases",)),
    Hostile(".yaml", fixed(b"[" * 30_000), ("deep",)),
    Hostile(".yaml", fixed(b"{a: " * 10_000), ("deep",)),
    Hostile(".yaml", fixed(b"- " * 30_000), ("deep",)),
    Hostile(".yaml", fixed(b"a: " + b"9" * 20_000), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: 1\n" * 100_000), ("larger than",)),
    Hostile(".yaml", fixed(b"a: 1\na: 2\n"), ("plain YAML", "duplicate")),
    Hostile(".yaml", fixed(b"a: [1\n"), ("plain YAML",)),
    Hostile(".yaml", fixed(b'a: "\\x24{oc.env:HOME}"'), ("interpolations",)),
    Hostile(".yaml", fixed(b"a: ${b\n"), ("interpolations",)),
    Hostile(".yaml", fixed(b"\x89PNG\r\n\x1a\n\xff\xfe"), ("not a text file",)),
    Hostile(".yaml", fixed(b"a: \0"), ("plain YAML",)),
    Hostile(".yaml", fixed(b""), ("must be given",)),
    Hostile(".yaml", fixed(b"just text"), ("unknown name 'just text'",)),
    Hostile(".yaml", fixed(b"- 1\n- 2\n"), ("not a mapping",)),
    Hostile(".yaml", fixed(b"1: 2\n"), ("unknown name '1'",)),
    Hostile(".yaml", fixed(b"model: 3\n"), ("unknown name 'model'",)),
]
