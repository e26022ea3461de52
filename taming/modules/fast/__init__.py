"""Optional fast paths, attached from outside. Deleting this folder slows things down and changes nothing else."""
