"""Odd files, made by Pillow, tifffile and the formats' specifications; and readers of them that share no code."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, IptcImagePlugin

HEIGHT, WIDTH = 18, 27
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'tiff:Orientation="%d" dc:rights="\xc2\xa9 Somebody"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
IPTC = b"\x1c\x02\x00\x00\x02\x00\x04" + b"\x1c\x02\x19\x00\x06winter" + b"\x1c\x02\x78\x00\x09a caption"
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)


def samples(channels, depth=8, height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(channels * 100 + depth)
    if depth == 32:
        return rng.random((height, width, channels), np.float32)
    return rng.integers(0, 2**depth, (height, width, channels)).astype(np.uint8 if depth == 8 else np.uint16)


def matrix_profile(primaries, gamma, white=(0.3457, 0.3585), kind=b"RGB "):
    """Return an ICC profile of a matrix and one gamma, from the specification: primaries as seen under D50."""

    def s15(*values):
        return struct.pack(f">{len(values)}l", *(round(v * 65536) for v in values))

    xyz = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in primaries]
    d50 = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    weights = np.linalg.solve(np.array(xyz).T, d50)
    curve = b"curv" + bytes(4) + struct.pack(">LH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + s15(*d50))]
    if kind == b"RGB ":
        columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, weights, strict=True)
        tags += [(name, b"XYZ \0\0\0\0" + s15(*(c * w))) for name, c, w in columns]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    else:
        tags += [(b"kTRC", curve)]
    tags += [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">L", 5) + b"test\0" + bytes(78)),
        (b"cprt", b"text\0\0\0\0none\0\0\0\0"),
    ]
    offset, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags:
        table += struct.pack(">4sLL", name, offset + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    body = struct.pack(">L", len(tags)) + table + data
    header = struct.pack(">L4sL4s4s4s", 128 + len(body), b"lcms", 0x02400000, b"mntr", kind, b"XYZ ")
    header += (
        struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249) + bytes(48)
    )
    return header + body


# Adobe RGB (1998) and ProPhoto RGB: primaries as they are under D50
WIDE = matrix_profile([(0.6484, 0.3309), (0.2302, 0.7015), (0.1559, 0.0660)], 563 / 256)
WIDEST = matrix_profile([(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], 1.8)
GREY = matrix_profile([(0.6484, 0.3309), (0.2302, 0.7015), (0.1559, 0.0660)], 1.8, kind=b"GRAY")


def exif(orientation=1, order="<", resolution=None, thumbnail=False):
    block = Image.Exif()
    block.endian = order
    block[0x0112], block[0x010F], block[0x0110] = orientation, "Maker", "Model 1"
    block[0x0132] = "2001:02:03 04:05:06"
    if resolution:
        block[0x011A], block[0x011B], block[0x0128] = resolution[0], resolution[1], 2
    inner = block.get_ifd(0x8769)
    inner[0x829A], inner[0x8827], inner[0xA002], inner[0xA003] = 0.004, 400, WIDTH, HEIGHT
    inner[0x9003] = "2001:02:03 04:05:06"
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes().removeprefix(b"Exif\0\0")


def png(data, kind, bits, *chunks, width=None, interlaced=False, late=()):
    """Return a PNG by the specification alone: no filters."""
    height = data.shape[0]
    width = width or data.shape[1]
    raw = np.ascontiguousarray(data, data.dtype.newbyteorder(">"))
    if interlaced:
        rows = b""
        for top, left, down, across in (
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        ):
            part = raw[top::down, left::across]
            rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    else:
        rows = b"".join(b"\0" + row.tobytes() for row in raw)
    body = [(b"IHDR", struct.pack(">LL5B", width, height, bits, kind, 0, 0, int(interlaced))), *chunks]
    packed = zlib.compress(rows)
    body += [(b"IDAT", packed[i : i + 100]) for i in range(0, len(packed), 100)]
    body += [*late, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in body
    )


def bits_of(height, width, bits):
    levels = np.random.default_rng(bits).integers(0, 2**bits, (height, width)).astype(np.uint8)
    wide = np.zeros((height, -(-width * bits // 8) * 8), np.uint8)
    wide[:, : width * bits] = (levels[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(height, -1)
    return np.packbits(wide, 1), levels


def saved(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def smooth(channels=3):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [(x * 8) % 256, (y * 12) % 256, (x + y) * 5 % 256][:channels]
    return np.stack(planes, -1).astype(np.uint8)


def image(channels, depth=8):
    array = samples(channels)
    return Image.fromarray(array[..., 0] if channels == 1 else array)


def raw_profile(name, data):
    text = b"\n%s\n%8d\n%s\n" % (name, len(data), data.hex().encode())
    return (b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text))


def pngs():
    itxt = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % 6)
    dpi = (b"pHYs", struct.pack(">LLB", 11811, 5906, 1))
    icc = (b"iCCP", b"x\0\0" + zlib.compress(WIDE))
    for bits in (8, 16):
        for channels, kind in ((1, 0), (3, 2), (2, 4), (4, 6)):
            yield f"plain-{bits}-{channels}.png", png(samples(channels, bits), kind, bits)
            yield (
                f"interlaced-{bits}-{channels}.png",
                png(samples(channels, bits), kind, bits, interlaced=True),
            )
    for bits in (1, 2, 4):
        data, _ = bits_of(HEIGHT, WIDTH, bits)
        yield f"grey-{bits}.png", png(data, 0, bits, width=WIDTH)
        palette = (
            b"PLTE",
            np.random.default_rng(bits).integers(0, 256, 3 * 2**bits).astype(np.uint8).tobytes(),
        )
        yield f"palette-{bits}.png", png(data, 3, bits, palette, width=WIDTH)
        yield f"palette-alpha-{bits}.png", png(data, 3, bits, palette, (b"tRNS", bytes([7])), width=WIDTH)
    yield "key-16.png", png(samples(3, 16), 2, 16, (b"tRNS", samples(3, 16)[0, 0].astype(">u2").tobytes()))
    yield "exif-6.png", png(samples(3), 2, 8, (b"eXIf", exif(6)))
    yield "exif-late-8.png", png(samples(3, 16), 2, 16, late=[(b"eXIf", exif(8, ">"))])
    yield "xmp-only-6.png", png(samples(3), 2, 8, itxt)
    yield (
        "all.png",
        png(samples(4, 16), 6, 16, icc, dpi, (b"eXIf", exif(6)), itxt, raw_profile(b"iptc", RESOURCES)),
    )
    yield "raw-exif.png", png(samples(3), 2, 8, raw_profile(b"exif", b"Exif\0\0" + exif(3)))
    yield (
        "gamma.png",
        png(samples(3), 2, 8, (b"gAMA", struct.pack(">L", 45455)), (b"tEXt", b"Title\0A title")),
    )
    yield "wide.png", png(samples(3), 2, 8, icc, dpi)
    yield "wide-16.png", png(samples(3, 16), 2, 16, (b"iCCP", b"x\0\0" + zlib.compress(WIDEST)))
    yield "grey-profile.png", png(samples(1), 0, 8, (b"iCCP", b"x\0\0" + zlib.compress(GREY)))
    yield (
        "opaque-alpha.png",
        png(np.concatenate([samples(3), np.full((HEIGHT, WIDTH, 1), 255, np.uint8)], -1), 6, 8),
    )
    yield "one-pixel.png", png(samples(3, 16, 1, 1), 2, 16)
    yield "one-row.png", png(samples(1, 8, 1, 40), 0, 8)


def jpegs():
    def with_segments(data, *parts):
        body = b"".join(bytes((255, marker)) + struct.pack(">H", len(d) + 2) + d for marker, d in parts)
        return data[:2] + body + data[2:]

    picture = Image.fromarray(smooth())
    for quality in (76, 92):
        yield f"q{quality}.jpg", saved(picture, "JPEG", quality=quality, dpi=(200, 100))
    yield "grey.jpg", saved(Image.fromarray(smooth(1)[..., 0]), "JPEG", quality=90, comment=b"a comment")
    yield "progressive.jpg", saved(picture, "JPEG", quality=88, progressive=True, icc_profile=WIDE)
    for orientation in (2, 5, 6, 8):
        yield (
            f"turned-{orientation}.jpg",
            saved(picture, "JPEG", quality=95, exif=b"Exif\0\0" + exif(orientation, ">")),
        )
    photoshop = (0xED, b"Photoshop 3.0\0" + RESOURCES)
    whole = saved(
        picture,
        "JPEG",
        quality=95,
        exif=b"Exif\0\0" + exif(6, resolution=(300, 300)),
        xmp=XMP % 6,
        icc_profile=SRGB,
        dpi=(300, 300),
    )
    yield "all.jpg", with_segments(whole, photoshop)
    yield "iptc.jpeg", with_segments(saved(picture, "JPEG", quality=80), photoshop)


def tiffs(tifffile):
    def made(array, **options):
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **options)
        return stream.getvalue()

    for depth in (8, 16, 32):
        for channels in (1, 3):
            array = samples(channels, depth)
            array = array[..., 0] if channels == 1 else array
            photometric = {"photometric": "rgb" if channels == 3 else "minisblack"}
            yield f"plain-{depth}-{channels}.tif", made(array, **photometric)
            yield f"big-endian-{depth}-{channels}.tif", made(array, byteorder=">", **photometric)
            if depth != 32:
                yield (
                    f"deflated-{depth}-{channels}.tif",
                    made(array, compression="zlib", predictor=2, **photometric),
                )
            yield (
                f"tiles-{depth}-{channels}.tif",
                made(array, tile=(16, 16), compression="zlib", **photometric),
            )
        planes = np.ascontiguousarray(samples(3, depth).transpose(2, 0, 1))
        yield f"planes-{depth}.tiff", made(planes, planarconfig="separate", photometric="rgb", rowsperstrip=5)
        for kind in ("unassalpha", "assocalpha"):
            array = samples(4, depth)
            if kind == "assocalpha":
                array[..., :3] = np.minimum(array[..., :3], array[..., 3:])
            yield f"{kind}-{depth}.tif", made(array, photometric="rgb", extrasamples=[kind])
    yield "bigtiff.tif", made(samples(3, 16), photometric="rgb", bigtiff=True)
    yield "half.tif", made(samples(3, 32).astype(np.float16), photometric="rgb")
    yield "hdr.tif", made(samples(3, 32) * 7 - 1, photometric="rgb")
    yield "white-is-zero.tif", made(samples(1, 16)[..., 0], photometric="miniswhite")
    yield "grey-alpha-16.tif", made(samples(2, 16), photometric="minisblack", extrasamples=["unassalpha"])
    picture = Image.fromarray(samples(3))
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        yield f"{compression}.tif", saved(picture, "TIFF", compression=compression, dpi=(300, 150))
    yield "palette.tif", saved(picture.quantize(16), "TIFF")
    yield (
        "bitmap.tif",
        saved(Image.fromarray(bits_of(HEIGHT, WIDTH, 1)[1] * 255).convert("1"), "TIFF", compression="group4"),
    )
    tags = {270: "a description", 315: "somebody", 700: XMP % 1, 33723: IPTC, 34675: WIDE}
    yield "all.tif", saved(picture, "TIFF", tiffinfo=tags, dpi=(240, 240), compression="tiff_lzw")
    turned = Image.Exif()
    turned[0x0112], turned[0x010F] = 6, "Maker"
    yield "turned.tif", saved(picture, "TIFF", exif=turned)


def others():
    rgb, rgba, grey = image(3), image(4), image(1)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True, icc_profile=WIDE, exif=exif(6), xmp=XMP % 6)
    yield "alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "lossy.webp", saved(Image.fromarray(smooth()), "WEBP", quality=80)
    if "AVIF" in Image.registered_extensions().values():
        yield (
            "a.avif",
            saved(Image.fromarray(smooth()), "AVIF", quality=90, exif=exif(6), xmp=XMP % 1, icc_profile=SRGB),
        )
    yield "rgb.bmp", saved(rgb, "BMP", dpi=(300, 300))
    yield "grey.bmp", saved(grey, "BMP")
    yield "palette.bmp", saved(rgb.quantize(16), "BMP")
    yield "bitmap.bmp", saved(grey.convert("1"), "BMP")
    yield "rgb.ppm", saved(rgb, "PPM")
    yield "grey.pgm", saved(grey, "PPM")
    yield "deep.pgm", b"P5\n# odd\n27 18\n65535\n" + samples(1, 16).astype(">u2").tobytes()
    yield "deep.ppm", b"P6 27 18 65535\n" + samples(3, 16).astype(">u2").tobytes()
    yield "ten-bits.ppm", b"P6 27 18 1023\n" + (samples(3, 16) >> 6).astype(">u2").tobytes()
    yield "text.ppm", b"P3\n27 18\n255\n" + b" ".join(b"%d" % v for v in samples(3).ravel())
    yield "still.gif", saved(rgb.quantize(32), "GIF", comment=b"a comment")
    clear = rgb.quantize(32)
    yield "clear.gif", saved(clear, "GIF", transparency=3)


def animations():
    frames = [Image.fromarray(np.roll(smooth(), i * 3, 1)) for i in (0, 1, 1, 2)]  # two alike
    times = [40, 120, 30, 500]
    few = [f.quantize(16) for f in frames]
    options = {"save_all": True, "duration": times}
    clear = [
        Image.fromarray(
            np.concatenate(
                [
                    np.roll(smooth(), i, 1),
                    np.where(np.arange(WIDTH)[None, :, None] < 9 + i, 255, 0)
                    .repeat(HEIGHT, 0)
                    .astype(np.uint8),
                ],
                -1,
            )
        )
        for i in range(3)
    ]
    yield (
        "a.gif",
        saved(few[0], "GIF", append_images=[few[1], few[3]], loop=0, save_all=True, duration=[40, 120, 500]),
    )
    yield "thrice.gif", saved(few[0], "GIF", append_images=[few[3]], loop=3, save_all=True, duration=[40, 60])
    yield "once.gif", saved(few[0], "GIF", append_images=[few[3]], save_all=True, duration=[40, 60])
    yield (
        "a.png",
        saved(
            frames[0],
            "PNG",
            append_images=[frames[1], frames[3]],
            loop=2,
            save_all=True,
            duration=[40, 120, 33.3],
        ),
    )
    yield "alpha.png", saved(clear[0], "PNG", append_images=clear[1:], save_all=True, duration=[40, 120, 30])
    yield (
        "hidden-first.png",
        saved(
            frames[0],
            "PNG",
            append_images=frames[1:],
            default_image=True,
            **{**options, "duration": times[1:]},
        ),
    )
    yield (
        "a.webp",
        saved(
            frames[0], "WEBP", append_images=frames[1:], lossless=True, loop=5, icc_profile=SRGB, **options
        ),
    )
    yield (
        "alpha.webp",
        saved(
            clear[0],
            "WEBP",
            append_images=clear[1:],
            lossless=True,
            exact=True,
            save_all=True,
            duration=[40, 120, 30],
        ),
    )


# --- readers


def png_chunks(data):
    position, found = 8, []
    while position < len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def jpeg_segments(data):
    position, found = 2, []
    while data[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, position + 2)
        found.append((data[position + 1], data[position + 4 : position + 2 + length]))
        position += 2 + length
    return found


def riff_chunks(data):
    position, found = 12, []
    while position < len(data):
        kind, length = struct.unpack_from("<4sL", data, position)
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return found


def xmp_in(path):
    data = Path(path).read_bytes()
    start = data.find(b"<?xpacket begin")
    if start < 0:
        return None
    end = data.index(b'<?xpacket end="w"?>', start) + len(b'<?xpacket end="w"?>')
    return data[start:end]


def iptc_in(path):
    with Image.open(path) as opened:
        if opened.format == "PNG":
            for kind, data in png_chunks(Path(path).read_bytes()):
                if kind == b"zTXt" and data.startswith(b"Raw profile type iptc\0"):
                    text = zlib.decompress(data.split(b"\0", 1)[1][1:])
                    found = bytes.fromhex(b"".join(text.split()[2:]).decode())
                    return found[found.index(b"\x1c\x02") :][: len(IPTC)]
            return None
        info = IptcImagePlugin.getiptcinfo(opened) if opened.format in ("JPEG", "TIFF") else None
        return None if info is None else {k: v for k, v in info.items() if k[0] == 2}


def durations_in(path):
    """Return the durations of an APNG or animated WebP from its bytes, of a GIF from its control blocks."""
    data = Path(path).read_bytes()
    if data[:4] == b"\x89PNG":
        pairs = [struct.unpack_from(">HH", d, 20) for k, d in png_chunks(data) if k == b"fcTL"]
        return [float(Fraction(a, b or 100) * 1000) for a, b in pairs]
    if data[:4] == b"RIFF":
        return [float(int.from_bytes(d[12:15], "little")) for k, d in riff_chunks(data) if k == b"ANMF"]
    with Image.open(path) as opened:
        found = []
        for i in range(opened.n_frames):
            opened.seek(i)
            opened.load()
            found.append(float(opened.info.get("duration", 0)))
        return found


def tags_in(path):
    """Return the EXIF tags of a file, by Pillow, but for orientation and what says where things lie."""
    with Image.open(path) as opened:
        opened.load()
        block = opened.getexif()
        structure = {
            0x0112,
            0x8769,
            0x8825,
            700,
            33723,
            34675,
            *range(254, 270),
            *range(273, 275),
            *range(277, 285),
            296,
            317,
            *range(320, 326),
            *range(338, 340),
        }
        found = {tag: value for tag, value in block.items() if tag not in structure}
        for ifd in (0x8769, 0x8825):
            found |= {(ifd, tag): value for tag, value in block.get_ifd(ifd).items() if value is not None}
        return found, block.get(0x0112, 1)


def upright_8(path):
    with Image.open(path) as opened:
        opened.load()
        return ImageOps.exif_transpose(opened)
