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
    Hostile(".yaml", fixed(b"a: &a [*a]"), ("uses aliases", "no end")),
    Hostile(".yaml", fixed(b"a: &a {b: {c: [1, *a]}}"), ("uses aliases", "no end")),
    Hostile(
        ".yaml",
        fixed(
            b"a0: &a0 {x: 1}\n"
            + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (i, i, i - 1, i - 1) for i in range(1, 900))
        ),
        ("uses aliases", "5000 values"),
    ),
    Hostile(
        ".yaml",
        fixed(b"a0: &a0 [1]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 60))),
        ("uses aliases", "40 deep"),
    ),
    Hostile(".yaml", fixed("a: caf\u00e9\n".encode("cp1252")), ("cp1252", "0xe9 in line 1", "Save it as UTF-8")),
    Hostile(".yaml", fixed("b: 1\na: \ud55c\uae00\n".encode("cp949")), ("older encoding", "line 2", "UTF-8")),
    *(
        Hostile(".yaml", fixed("model:\n  target: x\n".encode(name)), ("UTF-16", "Save it as UTF-8"))
        for name in ("utf-16", "utf-16-le", "utf-16-be")
    ),
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
