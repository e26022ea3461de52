"""Text that consoles cannot show."""

from hypothesis import strategies as st

# As file systems hold it: Latin-1 bytes, other scripts, an emoji, control characters, a change of direction.
FOREIGN = "caf\udce9 \u00e9\u20ac \uace0\uc591\uc774 \U0001f600 \x1b[31m\x07\x85\u202e"
HALF, ZERO = "\ud83d", "a\0b"  # what can be typed, and no file system holds
any_text = st.text(st.characters() | st.sampled_from(FOREIGN + HALF + ZERO), max_size=30)
