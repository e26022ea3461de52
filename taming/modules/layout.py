"""The shape of a VQGAN's encoder and decoder."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConvLayout:
    """Widths, depths and attention of encoder and decoder; names as in the published `ddconfig`."""

    ch: int = 128  # width at full resolution
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)  # width of each level, in multiples of `ch`; one halving between levels
    num_res_blocks: int = 2  # per level; the decoder has one more
    attn_resolutions: tuple[int, ...] = (16,)  # levels that attend, counted from `resolution`
    resolution: int = 256  # pixels; only places the attention, any input size runs
    mid_attention: bool = True  # between the two blocks at the lowest resolution
    in_channels: int = 3
    out_ch: int = 3
    z_channels: int = 256
    dropout: float = 0.0
    # Of group normalization. Groups of one channel, as with `ch` 32 and the published 32 groups, lose every channel's
    # mean: colors are then learned slowly, and only through spots that steer the statistics. Groups of four do not.
    num_groups: int = 32
    resamp_with_conv: bool = True

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.ch * m for m in self.ch_mult)

    @property
    def factor(self) -> int:
        """Pixels per latent cell side."""
        return 2 ** (len(self.ch_mult) - 1)

    def has_attention(self, level: int) -> bool:
        return self.resolution // 2**level in self.attn_resolutions
