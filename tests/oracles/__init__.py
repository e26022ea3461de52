"""Tokenizers of other families, written down from their published definitions alone: nothing of ours is imported."""
