"""Samples to image files, with what belongs to them; called by ``restoration.image``.

Pillow writes no 16-bit colour, copies a picture before compressing it, and merges frames; what is written without
it is in ``restoration.formats``.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, cast

import numpy as np
from PIL import Image

from restoration.formats import animation, jpeg, png_writing
from restoration.formats.bands import Samples, bands_of
from restoration.formats.metadata import Metadata
from restoration.formats.palettes import indices_of, narrowed, palette_of
from restoration.formats.png_writing import KINDS, Layout, PngWriter
from restoration.formats.tiff_reading import multiplied
from restoration.formats.tiff_writing import FLOAT, TiffWriter

__all__ = ["Metadata"]
JPEG_QUALITY, WEBP_QUALITY, AVIF_QUALITY = 95, 95, 95
INCH = 0.0254  # metres
LARGEST_MARKER = 65000  # bytes of a JPEG segment, less what leads it


def plain_layout(height: int, width: int, channels: int, dtype: np.dtype) -> Layout:
    """Return the layout of samples as they are."""
    kind = FLOAT if dtype.kind == "f" else KINDS[channels]
    return Layout(height, width, dtype.itemsize * 8, kind)


def write_png(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples (H, W, 1 to 4) of uint8 or uint16 as PNG: with a palette or few bits where they came so."""
    samples, layout = _as_stored(samples, metadata, alpha_in_palette=True)
    writer = PngWriter(stream, layout, metadata)
    for first, last in bands_of(samples, 32):
        writer.write(samples[first:last])
    writer.close()
    return _widened(metadata, layout)


def write_tiff(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples (H, W, 1 to 4) of uint8, uint16 or float32 as TIFF."""
    return write_tiff_pages(stream, [samples], [metadata])


def write_tiff_pages(stream: IO[bytes], pages: Sequence[Samples], metadata: Sequence[Metadata]) -> str | None:
    """Write the pages of a TIFF file, each with what belongs to it."""
    widest = max(about.stored.integers.dtype.itemsize if about.stored.integers else 1 for about in metadata)
    total = sum(int(np.prod(page.shape, dtype=np.int64)) * max(page.itemsize, widest) for page in pages)
    writer, notes = TiffWriter(stream, total), []
    for page, about in zip(pages, metadata, strict=True):
        if about.stored.premultiplied and page.shape[2] in (2, 4):
            whole = np.asarray(page)
            page = np.concatenate([multiplied(whole[..., :-1], whole[..., -1:]), whole[..., -1:]], -1)
        else:
            about = replace(about, stored=replace(about.stored, premultiplied=False))
        samples, layout = _as_stored(page, about, alpha_in_palette=False)
        layout = replace(layout, bits=8) if layout.palette is not None else layout
        writer.page(layout, samples, about)
        notes.append(_widened(about, layout))
    return next((note for note in notes if note), None)


def write_ppm(stream: IO[bytes], samples: Samples, metadata: Metadata) -> None:
    """Write samples (H, W, 1 or 3) of uint8 or uint16 as binary PGM or PPM, which hold no metadata."""
    height, width, channels = samples.shape
    peak = int(np.iinfo(samples.dtype).max)
    if metadata.stored.peak not in (None, 1) and (metadata.stored.peak > 255) == (peak > 255):
        levels = narrowed(samples, metadata.stored.peak)
        samples, peak = (samples, peak) if levels is None else (levels, metadata.stored.peak)
    stream.write(b"P%d\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, peak))
    for first, last in bands_of(samples):
        band = samples[first:last]
        stream.write(np.ascontiguousarray(band, band.dtype.newbyteorder(">")).tobytes())


def write_pbm(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples of black and white alone as PBM, any others as `write_ppm` does; return so in words."""
    if samples.shape[2] > 1 or not all(
        np.isin(samples[first:last], (0, 255)).all() for first, last in bands_of(samples)
    ):
        write_ppm(stream, samples, metadata)
        return "PBM holds black and white alone: written as PGM" if samples.shape[2] == 1 else None
    height, width, _ = samples.shape
    stream.write(b"P4\n%d %d\n" % (width, height))
    for first, last in bands_of(samples):
        stream.write(np.packbits(np.asarray(samples[first:last])[..., 0] == 0, 1).tobytes())
    return None


def write_jpeg(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples (H, W, 1 or 3) of uint8 as JPEG with full colour resolution; return what is not kept, in words.

    The quality is the one asked for, else that of the JPEG they come from, by its own tables; one below
    ``jpeg.LOW_QUALITY`` is said.
    """
    tables, note = metadata.stored.tables, None
    options: dict[str, object] = {"quality": metadata.quality or JPEG_QUALITY}
    if metadata.quality is None and tables:
        quality = jpeg.quality_of(tables[0])
        options = {"qtables": [list(table) for table in tables[:2]]}
        if quality < jpeg.LOW_QUALITY:
            kept = f"quality {quality}, that of its source"
            note = f"{kept}, may put back what was restored (apply: --quality N)"
    if metadata.stored.comment and len(metadata.stored.comment) < LARGEST_MARKER:
        options["comment"] = metadata.stored.comment
    exif = metadata.exif if metadata.exif and len(metadata.exif) < LARGEST_MARKER else None
    xmp = metadata.xmp if metadata.xmp and len(metadata.xmp) < LARGEST_MARKER else None
    image = _pillow(samples)
    image.save(
        cast(IO[bytes], jpeg.WithSegments(stream, metadata)), "JPEG", subsampling="4:4:4", icc_profile=metadata.icc,
        exif=b"Exif\0\0" + exif if exif else b"", dpi=_whole(metadata.dpi), **options,
        **({"xmp": xmp} if xmp else {}),
    )  # fmt: skip
    return note


def write_webp(stream: IO[bytes], samples: Samples, metadata: Metadata) -> None:
    """Write samples (H, W, 1, 3 or 4) of uint8 as WebP, which has no grey."""
    _pillow(samples).save(
        stream, "WEBP", quality=metadata.quality or WEBP_QUALITY, exact=True,
        lossless=metadata.lossless and metadata.quality is None,
        icc_profile=metadata.icc or b"", exif=metadata.exif or b"", xmp=metadata.xmp or b"",
    )  # fmt: skip


def write_avif(stream: IO[bytes], samples: Samples, metadata: Metadata) -> None:
    """Write samples (H, W, 1 to 4) of uint8 as AVIF with full colour resolution."""
    write_avif_frames(stream, [np.asarray(samples)], metadata, [0], None)


def write_bmp(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples (H, W, 1, 3 or 4) of uint8 as BMP; four channels by masks, as of its fourth version."""
    samples = np.asarray(samples)
    if samples.shape[2] in (2, 4):
        _write_bmp_alpha(stream, samples, metadata.dpi)
        return None
    stored = replace(metadata.stored, peak=1 if metadata.stored.peak == 1 else None)
    indices, layout = _as_stored(samples, replace(metadata, stored=stored), alpha_in_palette=True)
    if layout.palette is not None:
        image = Image.fromarray(np.asarray(indices)[..., 0]).convert("P")
        image.putpalette(layout.palette.tobytes())
    elif layout.bits == 1:
        image = Image.fromarray(samples[..., 0]).convert("1", dither=Image.Dither.NONE)
    else:
        image = _pillow(np.ascontiguousarray(samples))
    image.save(stream, "BMP", dpi=metadata.dpi or (96, 96))
    return _widened(replace(metadata, stored=stored), layout)


def write_gif(stream: IO[bytes], samples: Samples, metadata: Metadata) -> str | None:
    """Write samples (H, W, 1 to 4) of uint8 as GIF: of more than 256 colours the nearest are kept, dithered."""
    return write_gif_frames(stream, [samples], metadata, [0], None)


def write_gif_frames(
    stream: IO[bytes], frames: Sequence[Samples], metadata: Metadata, durations: Sequence[float],
    loop: int | None,
) -> str | None:  # fmt: skip
    """Write frames as GIF; return what could not be kept, in words."""
    arrays = [np.asarray(frame) for frame in frames]
    reduced = animation.write_gif(stream, arrays, metadata, durations, loop)
    return "GIF holds 256 colours a frame, clear or opaque: the nearest were taken" if reduced else None


def write_webp_frames(
    stream: IO[bytes], frames: Sequence[Samples], metadata: Metadata, durations: Sequence[float],
    loop: int | None,
) -> None:  # fmt: skip
    """Write frames as WebP."""
    arrays = [np.asarray(frame) for frame in frames]
    lossless = metadata.lossless and metadata.quality is None
    about = replace(metadata, lossless=lossless)
    animation.write_webp(stream, arrays, about, durations, loop, metadata.quality or WEBP_QUALITY)


def write_png_frames(
    stream: IO[bytes], frames: Sequence[Samples], metadata: Metadata, durations: Sequence[float],
    loop: int | None,
) -> str | None:  # fmt: skip
    """Write frames as APNG: with a palette or few bits where they came so."""
    stored, height = metadata.stored, frames[0].shape[0]
    if stored.palette or stored.peak:
        samples, layout = _as_stored(
            np.concatenate([np.asarray(frame) for frame in frames]), metadata, alpha_in_palette=True
        )
        frames, layout = np.split(np.asarray(samples), len(frames)), replace(layout, height=height)
    else:
        height, width, channels = frames[0].shape
        layout = plain_layout(height, width, channels, frames[0].dtype)
    png_writing.write_frames(stream, frames, layout, metadata, durations, loop)
    return _widened(metadata, layout)


def write_avif_frames(
    stream: IO[bytes], frames: Sequence[Samples], metadata: Metadata, durations: Sequence[float],
    loop: int | None,
) -> None:  # fmt: skip
    """Write frames as AVIF, which repeats them for ever."""
    first, *others = (_pillow(np.asarray(frame)) for frame in frames)
    subsampling = "4:0:0" if all(image.mode == "L" for image in (first, *others)) else "4:4:4"
    options = (
        {"save_all": True, "append_images": others, "duration": [round(d) for d in durations]}
        if others
        else {}
    )
    first.save(
        stream, "AVIF", quality=metadata.quality or AVIF_QUALITY, subsampling=subsampling,
        icc_profile=metadata.icc or b"", exif=metadata.exif or b"", xmp=metadata.xmp or b"", **options,
    )  # fmt: skip


def _as_stored(samples: Samples, metadata: Metadata, alpha_in_palette: bool) -> tuple[Samples, Layout]:
    """Return the samples and their layout, with palette or few bits if the source had them and nothing is lost."""
    height, width, channels = samples.shape
    stored = metadata.stored
    if stored.palette and samples.itemsize == 1 and (channels == 3 or (channels == 4 and alpha_in_palette)):
        whole = np.asarray(samples)
        colours, alpha = whole[..., :3], whole[..., 3:] if channels == 4 else None
        layout = palette_of(colours, alpha)
        if layout is not None:
            return indices_of(colours, alpha, layout), layout
    if stored.peak in (1, 3, 15) and channels == 1 and samples.itemsize == 1:
        levels = narrowed(samples, stored.peak)
        bits = stored.peak.bit_length()
        if levels is not None and (alpha_in_palette or bits == 1):
            return levels, Layout(height, width, bits, KINDS[1])
    return samples, plain_layout(height, width, channels, samples.dtype)


def _widened(metadata: Metadata, layout: Layout) -> str | None:
    """Return that a result is stored with more than its source was, so that nothing of it is lost; in words."""
    stored = metadata.stored
    if stored.palette and layout.palette is None:
        return "256 colours do not hold the result: written without a palette"
    if stored.peak in (1, 3, 15) and layout.palette is None and layout.bits > stored.peak.bit_length():
        return f"{stored.peak.bit_length()}-bit samples do not hold the result: written with {layout.bits}"
    return None


def _whole(dpi: tuple[float, float] | None) -> tuple[int, int]:
    """Return a resolution as JPEG's header holds it."""
    return (min(round(dpi[0]), 65535), min(round(dpi[1]), 65535)) if dpi else (0, 0)


def _pillow(samples: Samples) -> Image.Image:
    """Return a Pillow image; colour that lies in four bytes per pixel is lent, not copied."""
    samples = np.asarray(samples)
    height, width, channels = samples.shape
    base = samples.base
    if (
        channels == 3
        and isinstance(base, np.ndarray)
        and base.shape == (height, width, 4)
        and base.flags.c_contiguous
    ):
        return Image.frombuffer("RGBX", (width, height), base, "raw", "RGBX", 0, 1)
    return Image.fromarray(samples[..., 0] if channels == 1 else np.ascontiguousarray(samples))


def _write_bmp_alpha(stream: IO[bytes], samples: np.ndarray, dpi: tuple[float, float] | None) -> None:
    height, width, channels = samples.shape
    colour = samples[..., :-1] if channels == 4 else samples[..., :1].repeat(3, 2)
    rows = np.concatenate([colour[..., ::-1], samples[..., -1:]], -1)[::-1]
    per_metre = [round(value / INCH) for value in dpi or (96, 96)]
    header = struct.pack("<LllHHLLllLL", 108, width, height, 1, 32, 3, rows.size, *per_metre, 0, 0)
    header += struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    stream.write(b"BM" + struct.pack("<LHHL", 14 + 108 + rows.size, 0, 0, 14 + 108) + header)
    stream.write(rows.tobytes())
