"""Decoded frames ↔ planes of samples, for the pixel formats that videos come in."""

from typing import TYPE_CHECKING

import numpy as np

from restoration.video.colour import Layout

if TYPE_CHECKING:
    import av

# channels in packed RGB, and where green, blue and red are among them
PACKED = {
    "rgb24": (3, (1, 2, 0)),
    "bgr24": (3, (1, 0, 2)),
    "rgb0": (4, (1, 2, 0)),
    "bgr0": (4, (1, 0, 2)),
    "0rgb": (4, (2, 3, 1)),
    "0bgr": (4, (2, 1, 3)),
    "rgb48le": (3, (1, 2, 0)),
    "bgr48le": (3, (1, 0, 2)),
}
# luma, then chroma in pairs: the planar form, the lower bits that are not used, whether Cb comes first
PAIRED = {
    "nv12": ("yuv420p", 0, True),
    "nv21": ("yuv420p", 0, False),
    "nv16": ("yuv422p", 0, True),
    "nv24": ("yuv444p", 0, True),
    "p010le": ("yuv420p10le", 6, True),
    "p012le": ("yuv420p12le", 4, True),
    "p016le": ("yuv420p16le", 0, True),
    "p210le": ("yuv422p10le", 6, True),
}
# formats whose samples FFmpeg puts into planes; by one thread, as several have been seen to lose samples
SAME = {
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
    "y210le": "yuv422p10le",
    "yuv420p10be": "yuv420p10le",
    "yuv422p10be": "yuv422p10le",
}


def layout_of(name: str) -> Layout | None:
    """Return how the samples of a pixel format lie once they are planes; None for formats that have no such form."""
    from av.video.format import VideoFormat

    if name in PACKED:
        return Layout("rgb", 16 if "48" in name else 8)
    name = PAIRED[name][0] if name in PAIRED else SAME.get(name, name)
    try:
        form = VideoFormat(name)
    except ValueError:
        return None
    parts = form.components
    bits = {part.bits for part in parts}
    planes = {part.plane for part in parts}
    odd = form.has_palette or form.is_bit_stream or form.is_bayer or any(part.is_alpha for part in parts)
    if odd or len(bits) != 1 or len(planes) != len(parts) or len(parts) not in (1, 3):
        return None
    depth = bits.pop()
    if not 8 <= depth <= 16 or (depth > 8 and not name.endswith("le")) or "f16" in name or "msb" in name:
        return None
    if len(parts) == 1:
        return Layout("grey", depth) if name.startswith("gray") else None
    if form.is_rgb:
        return Layout("rgb", depth)
    down = tuple(64 // small(64) for small in (form.chroma_height, form.chroma_width))
    return Layout("yuv", depth, (down[0].bit_length() - 1, down[1].bit_length() - 1))


def planes_of(frame: "av.VideoFrame", layout: Layout) -> list[np.ndarray]:
    """Return the planes of a frame, each (h, w), as its layout says."""
    name = frame.format.name
    if name in PACKED:
        channels, order = PACKED[name]
        whole = _rows(frame.planes[0], layout.dtype)[: frame.height, : frame.width * channels]
        pixels = whole.reshape(frame.height, frame.width, channels)
        return [pixels[..., i] for i in order]
    shapes = layout.shapes(frame.height, frame.width)
    if name in PAIRED:
        _, unused, blue_first = PAIRED[name]
        height, width = shapes[1]
        luma = _rows(frame.planes[0], layout.dtype)[: frame.height, : frame.width]
        pairs = _rows(frame.planes[1], layout.dtype)[:height, : 2 * width]
        both = [pairs[:, ::2], pairs[:, 1::2]]
        return [plane >> unused for plane in (luma, *(both if blue_first else both[::-1]))]
    if name in SAME:
        frame = frame.reformat(format=SAME[name], threads=1)
    return [
        _rows(plane, layout.dtype)[:height, :width]
        for plane, (height, width) in zip(frame.planes, shapes, strict=True)
    ]


def frame_of(planes: list[np.ndarray], name: str) -> "av.VideoFrame":
    """Return a frame of a planar format, or of packed RGB, with these planes."""
    import av

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, name)
    if name in PACKED:
        channels, order = PACKED[name]
        whole = _rows(frame.planes[0], planes[0].dtype)
        for i, plane in zip(order, planes, strict=True):
            whole[:height, i : width * channels : channels] = plane
        return frame
    for target, plane in zip(frame.planes, planes, strict=True):
        _rows(target, plane.dtype)[: plane.shape[0], : plane.shape[1]] = plane
    return frame


def _rows(plane: "av.video.plane.VideoPlane", dtype: np.dtype) -> np.ndarray:
    samples = np.frombuffer(memoryview(plane), dtype)
    across = plane.line_size // dtype.itemsize
    return samples[: samples.size // across * across].reshape(-1, across)


def nearest_format(encoder: str, layout: Layout) -> tuple[str, Layout] | None:
    """Return the encoder's pixel format that keeps most: no less chroma, then depth, then nothing needless.

    Grey becomes YCbCr where the encoder has no grey; RGB and YCbCr never become each other.
    """
    import av

    def kept(found: Layout) -> tuple[bool, int, int, int]:
        lost = max(0, layout.bits - found.bits)
        return (found.kind != layout.kind, lost, -sum(found.down), found.bits)

    best: tuple[tuple[bool, int, int, int], str, Layout] | None = None
    for form in av.codec.Codec(encoder, "w").video_formats or ():
        found = layout_of(form.name)
        if found is None or form.name in (*PAIRED, *SAME) or form.name.startswith("yuvj"):
            continue
        alike = found.kind == layout.kind or (layout.kind, found.kind) == ("grey", "yuv")
        less_chroma = layout.kind == "yuv" and any(
            f > w for f, w in zip(found.down, layout.down, strict=True)
        )
        if alike and not less_chroma and (best is None or kept(found) < best[0]):
            best = (kept(found), form.name, found)
    return best and best[1:]
