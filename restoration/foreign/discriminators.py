"""Layouts of discriminators, which apply has no use for and training goes on from."""

from restoration.foreign.layout import Layout, Match, State, has, renamed, width_and_channels

PARAMETER = r"\.(weight|bias)"
PAIRS = 4
# the first convolution stands at 0; then convolution, normalisation and slope follow each other, and a pooling
HIDDEN, LOGIT = 6 * PAIRS, 6 * PAIRS + 2


def srgan_discriminator(state: State) -> Match | None:
    """SRGAN's as iSeeBetter hands it on; theirs ends in a sigmoid, our ``vgg-style`` in the logit before it."""
    if not has(state, "net.0.weight", "net.2.weight", f"net.{HIDDEN}.weight", f"net.{LOGIT}.weight"):
        return None
    width, channels = width_and_channels(state, "net.0.weight")
    names = {rf"net\.0{PARAMETER}": r"blocks.0.0.\1"}
    for i in range(1, 2 * PAIRS):
        names[rf"net\.{3 * i - 1}\.(.*)"] = rf"blocks.{i}.0.\1"
        names[rf"net\.{3 * i}\.(.*)"] = rf"blocks.{i}.1.\1"
    names[rf"net\.{HIDDEN}{PARAMETER}"] = r"head.2.\1"
    names[rf"net\.{LOGIT}{PARAMETER}"] = r"head.4.\1"
    ours = renamed(state, names)
    for name in ("head.2.weight", "head.4.weight"):
        ours[name] = ours[name].flatten(1)  # 1×1 convolutions on a single pixel
    spec = {
        "name": "vgg-style", "layout": "srgan", "head": "adaptive", "width": width, "channels": channels,
    }  # fmt: skip
    return Match(spec, ours)


LAYOUTS: tuple[Layout, ...] = (srgan_discriminator,)
