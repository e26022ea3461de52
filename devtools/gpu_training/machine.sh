# What a command on the GPU machine begins with: `. devtools/gpu_training/machine.sh; train STAGE --minutes N`.
export PYTHONPATH=.gpu/site PYTHONUNBUFFERED=1
export OPENBLAS_NUM_THREADS=1 # NumPy's, of which every process that paints or crops would start sixteen
train() {
    local stage=$1
    shift
    python3 -m devtools.gpu_training train "$stage" "$@" --out "$OUT/$stage"
}
