"""The side of a tile: by rule where work is short, by measured rate and free memory where it is long."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from restoration.tiling import memory
from restoration.tiling.windows import Fetch, Function, Tiling, Window

WINDOWS = {
    "cpu": (128, 160, 192, 256, 320, 384, 512, 768),
    "gpu": (256, 384, 512, 768, 1024, 1536, 2048),
}
LEAST_GAIN = 0.96  # a larger tile must take less than this part of a smaller one's time
WORSE = 1.3  # times the best rate, twice in turn: larger ones are not tried
QUICK = 0.5  # seconds
WIDE = 512  # pixels of a margin: windows with wider ones would be little but margins
UNCUT = 2048  # pixels of a side up to which pictures are not cut then
SHARE = 0.05  # of the time that the picture takes at the best rate, spent on trying


def fast_side(receptive_field: int | None, device: torch.device) -> int:
    """Return the side of a tile that costs least per pixel of the result, by rule.

    On processors the time per pixel computed is flat up to windows of 384² (48 channels), then half as much again,
    as layers above 32 MB are returned to the system and faulted in anew; 320² takes a third less memory. Margins
    cost (window / tile)². GPUs need larger windows to keep all units busy.
    """
    if receptive_field is None:
        return 512 if device.type == "cpu" else 1024
    if receptive_field > WIDE:
        return UNCUT
    flat = 320 if device.type == "cpu" else 1024

    def cost(window: int) -> float:
        return (window / (window - 2 * receptive_field)) ** 2 * (1 if window <= flat else 1.5)

    windows = [w for w in (256, 320, 512, 768, 1024) if w > 2 * receptive_field]
    if device.type == "cpu":  # attention takes gigabytes for windows above
        windows = [w for w in windows if w <= 512 and w > 3 * receptive_field] or windows
    return min(windows, key=cost) - 2 * receptive_field if windows else 2 * receptive_field


def measured_side(
    function: Function, fetch: Fetch, height: int, width: int, tiling: Tiling, device: torch.device
) -> tuple[int, str, float]:
    """Return the side with the best rate among a few that memory allows, what was measured, in words, and seconds.

    Windows are those that the picture will need, and are timed from small to large until they get slower or larger
    than a budget: a processor gains little from large ones. Trying ends after a twentieth of the time that the
    picture will take, so a short run ends at the first. The seconds are what the picture will take.
    """
    rates: dict[int, float] = {}  # seconds per pixel of the result
    spent, used, room = 0.0, 0, memory.room(device)
    tried = _sides(tiling, height, width, device)
    function(
        fetch(_in_the_middle(tiling.grid, height, width, replace(tiling, halo=0)))
    )  # a first call is slow
    memory.let_go()
    before = memory.held(device)
    for side, following in zip(tried, [*tried[1:], None], strict=True):
        window = _in_the_middle(side, height, width, tiling)
        if room is not None and used > room and rates:
            break
        try:
            seconds, peak = _timed(function, fetch(window), device)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            break
        if room is not None and peak - before > room and rates:
            break
        rates[side] = seconds / (min(side, height) * min(side, width))
        spent += seconds
        best = min(rates.values())
        if (
            all(rate > WORSE * best for rate in list(rates.values())[-2:])
            or spent > SHARE * best * height * width
        ):
            break
        if following and before and peak:
            ahead = _in_the_middle(following, height, width, tiling)
            used = (peak - before) * ahead.height * ahead.width // (window.height * window.width)
    memory.let_go()
    if not rates:
        return tried[0], "", 0.0
    chosen = next(s for s, rate in rates.items() if rate * LEAST_GAIN <= min(rates.values()))
    words = ", ".join(f"{side}: {1e-6 / rate:.3g}" for side, rate in rates.items())
    words = f"tiles of {chosen} pixels (megapixels per second: {words})"
    return chosen, words, rates[chosen] * height * width


def _sides(tiling: Tiling, height: int, width: int, device: torch.device) -> Sequence[int]:
    windows, margin = WINDOWS["cpu" if device.type == "cpu" else "gpu"], tiling.margin
    sides = {(window - 2 * margin) // tiling.grid * tiling.grid for window in windows}
    useful = sorted(s for s in sides if s >= max(margin, 32) and s <= max(height, width))
    return useful or [tiling.side(device, height, width)]


def _in_the_middle(side: int, height: int, width: int, tiling: Tiling) -> Window:
    """Return the window of a tile in the middle of the picture."""
    top, left = ((max(0, n - side) // 2) // tiling.grid * tiling.grid for n in (height, width))
    whole = tiling.whole(height, width)
    core = Window(top, min(top + side, whole.bottom), left, min(left + side, whole.right))
    return replace(tiling, wrap="off").grown(core, whole)


def _timed(function: Function, tile: Tensor, device: torch.device) -> tuple[float, int]:
    """Return the seconds of a call, the better of two where it is quick, and the most bytes held meanwhile."""
    seconds: list[float] = []
    memory.forget_peak(device)
    while not seconds or (len(seconds) < 2 and seconds[0] < QUICK):
        start = time.perf_counter()
        function(tile)  # the result comes back to the CPU: all is done
        seconds.append(time.perf_counter() - start)
    return min(seconds), memory.peak(device)
