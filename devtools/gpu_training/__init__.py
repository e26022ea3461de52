"""The embedded models, trained in the minutes for which a GPU is lent.

The GPU is in another machine. It gets this checkout without what git ignores, and nothing can be installed there; what
it lacks travels in the ignored folder `.gpu`, which `pack` fills. Pack again before every sitting, here:

    python -m devtools.gpu_training pack --photographs runs/photographs

`--tokenizer FILE` and `--map-tokenizer FILE` take along tokenizers that exist, for the stages that read them or to
start from (`--init-from .gpu/landscapes_vqgan.safetensors`). Each leaves room for fewer photographs.

There, with `.gpu` carried along and 590 s allowed, one of these commands:

    . devtools/gpu_training/machine.sh; train tokenizer --minutes 9
    . devtools/gpu_training/machine.sh; train words --minutes 9
    . devtools/gpu_training/machine.sh; train map_tokenizer --minutes 2 && train maps --minutes 7
    . devtools/gpu_training/machine.sh; train boxes --minutes 9

A call has at most 10 minutes and a sitting 15, starts and transfers included. Two calls use more of them, if the
second comes while the machine is warm (30 s). It goes on with the same run, of a length that the first has chosen:

    . devtools/gpu_training/machine.sh; train tokenizer --minutes 9 --more-minutes 2.5     (590 s)
    . devtools/gpu_training/machine.sh; train tokenizer --minutes 2.5                      (180 s)

or it trains words on the tokens, and the scenes, of the tokenizer that the first has left there:

    . devtools/gpu_training/machine.sh; train tokenizer --minutes 6.5                      (420 s)
    . devtools/gpu_training/machine.sh; train words data.count=20000 --minutes 4.5         (300 s)

Overrides of the recipe, such as data.count=20000, come right behind the stage. `--minutes` are those of the whole
command but for Python's start: a rehearsal that measures the speed of a step and chooses how many fit, painting scenes,
training, saving. At SIGTERM or at the end of the minutes, the weights so far are saved.

What comes back is a folder for each stage: the weights in parts, sheet.png, and report.json with the log. Join the
parts, and write the log beside them:

    python -m devtools.gpu_training unpack FOLDER/tokenizer runs/landscapes_vqgan.safetensors
"""
