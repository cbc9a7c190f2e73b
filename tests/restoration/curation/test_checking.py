"""Folders of images: what is broken or odd, which pictures are there twice, which belong to a test set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restoration.benchmarks.datasets import pixels_sha256
from restoration.benchmarks.known import reserved_names, reserved_pixels
from restoration.curation.checking import Copy, Known, check, named_alike
from restoration.curation.fingerprint import Prints, colour, matches, spectrum, thumbnail
from restoration.errors import RequestError
from restoration.image import Picture, find_images, read_samples, write

PHOTOGRAPHS = (
    "bsds500/train",
    "bsds500/dev30",
    "set5/HR",
    "set14/HR",
    "kodak5",
    "free_photos",
    "reflection/real_noref",
)
# what really is the same picture in these folders: Set5's woman is one of BSDS500's training images, Set14's face is
# Set5's head
SAME = {("302003.jpg", "woman.png"), ("head.png", "face.png")}


def save(folder: Path, name: str, image: np.ndarray | Image.Image, **options: object) -> str:
    folder.mkdir(exist_ok=True)
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(folder / name, **options)
    return str(folder / name)


def photograph(number: int, size: tuple[int, int] = (96, 128)) -> Image.Image:
    """Return random colours, coarse and fine."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        size[::-1], Image.BICUBIC
    )
    fine = rng.integers(-20, 21, (*size, 3))
    return Image.fromarray((np.asarray(coarse).astype(int) + fine).clip(0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(5):
        save(tmp_path / "in", f"{i}.png", photograph(i))
    return tmp_path / "in"


def test_sound_images_have_nothing_wrong(folder):
    findings = check(folder, digest=pixels_sha256)
    assert (findings.files, findings.exit_code) == (5, 0)
    assert not (findings.broken or findings.odd or findings.duplicates or findings.leaks or findings.named)


def test_broken_files_are_found_by_decoding_them_to_the_end(folder):
    path = folder / "2.png"
    data = path.read_bytes()
    path.write_bytes(data[:-3000])
    findings = check(folder, digest=pixels_sha256)
    assert list(findings.broken) == [str(path)] and findings.exit_code == 1
    expected = f"{path}: not a readable image (truncated after {len(data) - 3000} of "
    assert findings.broken[str(path)].startswith(expected)


def test_odd_images_are_named_with_what_is_odd(folder):
    deep = np.random.default_rng(9).integers(0, 65536, (80, 80), dtype=np.uint16)
    clear = photograph(8).convert("RGBA")
    clear.putalpha(100)
    expected = {
        save(folder, "small.png", photograph(6, (30, 70))): "70x30 pixels, a side below 64",
        save(folder, "grey.png", photograph(7).convert("L")): "grey among colour",
        save(folder, "stored.png", photograph(10).convert("L").convert("RGB")): "grey among colour",
        save(folder, "deep.png", deep): "grey among colour; 16 bits among 8",
        save(folder, "clear.png", clear): "partly transparent, which training does not see",
        save(folder, "plain.png", Image.new("RGB", (90, 90), (10, 200, 30))): "nearly of one colour",
    }
    assert check(folder, digest=pixels_sha256).odd == expected


def test_grey_and_deep_images_are_not_odd_among_their_like(tmp_path):
    for i in range(3):
        deep = np.random.default_rng(i).integers(0, 65536, (80, 80), dtype=np.uint16)
        save(tmp_path / "in", f"{i}.png", deep)
    assert not check(tmp_path / "in", digest=pixels_sha256).odd


def test_duplicates_are_found_by_pixels_and_by_picture(folder):
    first = folder / "1.png"
    same = save(folder, "same.tif", Image.open(first))
    small = save(folder, "small.jpg", Image.open(first).resize((70, 66), Image.LANCZOS), quality=75)
    turned = save(folder, "turned.png", Image.open(folder / "3.png").transpose(Image.Transpose.ROTATE_90))
    findings = check(folder, digest=pixels_sha256)
    assert findings.duplicates[0] == Copy(same, str(first), 1.0, "same pixels")
    rest = {copy.path: (copy.other, copy.how) for copy in findings.duplicates[1:]}
    assert rest == {
        small: (str(first), "same picture, other pixels"),
        turned: (str(folder / "3.png"), "turned by 90 degrees"),
    }
    assert findings.exit_code == 0


def test_test_images_among_training_images_are_named(folder, tmp_path):
    tests = tmp_path / "test"
    save(tests, "a.png", Image.open(folder / "0.png"))
    save(tests, "b.jpg", Image.open(folder / "4.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=75)
    save(tests, "c.png", photograph(77))
    findings = check(folder, [tests], digest=pixels_sha256)
    found = [(Path(c.path).name, Path(c.other).name, c.how) for c in findings.leaks]
    assert found == [("0.png", "a.png", "same pixels"), ("4.png", "b.jpg", "mirrored left to right")]
    assert findings.exit_code == 1 and findings.files == 8


def test_test_images_that_lie_in_the_folder_itself_are_no_copies(folder):
    save(folder / "test", "t.png", photograph(77))
    save(folder / "test", "copy.png", Image.open(folder / "1.png"))
    findings = check(folder, [folder / "test", folder / "test", folder], digest=pixels_sha256)
    assert [(Path(c.path).name, Path(c.other).name) for c in findings.leaks] == [("1.png", "copy.png")]


def test_a_leak_is_told_once_though_the_manifest_knows_it_too(folder, tmp_path):
    save(tmp_path / "test", "a.png", Image.open(folder / "0.png"))
    known = Known({pixels_sha256(read_samples(folder / "0.png")): "set5/HR/a.png"})
    findings = check(folder, [tmp_path / "test"], digest=pixels_sha256, known=known)
    assert [c.other for c in findings.leaks] == [str(tmp_path / "test" / "a.png")]


def test_test_images_are_known_by_their_pixels_without_the_test_set(folder):
    digest = pixels_sha256(read_samples(folder / "3.png"))
    findings = check(folder, digest=pixels_sha256, known=Known({digest: "set5/HR/baby.png"}))
    assert [(c.path, c.other) for c in findings.leaks] == [(str(folder / "3.png"), "set5/HR/baby.png")]
    at_home = check(folder, digest=pixels_sha256, known=Known({digest: "in/3.png"}))
    assert not at_home.leaks  # the test set itself


def test_bsd100_is_known_by_its_numbers():
    paths = [Path("val") / f"{name}.jpg" for name in ("101085", "3096", "100075")]
    assert named_alike(paths, reserved_names()) == {
        "bsd100 (BSDS500's val)": ["val/101085.jpg", "val/3096.jpg"]
    }


def test_names_that_any_set_may_have_say_nothing():
    paths = [
        Path(f"{name}.png")
        for name in ("0001", "0002", "0003", "img_001", "img_002", "test003", "3096", "8023")
    ]
    assert named_alike(paths, reserved_names()) == {}


def test_three_names_of_a_set_are_no_coincidence():
    names = {"set5": ["baby", "bird", "butterfly", "head", "woman"]}
    assert named_alike([Path("bird.png"), Path("head.jpg")], names) == {}
    three = [Path("bird.png"), Path("Head.jpg"), Path("woman.bmp")]
    assert named_alike(three, names) == {"set5": ["bird.png", "Head.jpg", "woman.bmp"]}


def test_names_of_a_test_set_are_wrong_but_for_the_set_itself(tmp_path):
    for number in ("101085", "3096"):
        save(tmp_path / "in", f"{number}.png", photograph(int(number)))
    findings = check(tmp_path / "in", digest=pixels_sha256, known=Known(names=reserved_names()))
    assert findings.exit_code == 1 and len(findings.named) == 1
    known = Known(names=reserved_names(), files={"in/101085.png", "in/3096.png"})
    assert check(tmp_path / "in", digest=pixels_sha256, known=known).exit_code == 0


def test_every_copy_is_told_with_the_first_that_it_is_like(tmp_path):
    first, other = photograph(0), photograph(1)
    for i in range(6):
        save(tmp_path / "in", f"{i}.png", Image.blend(first, other, i / 5))
    copies = check(tmp_path / "in", digest=pixels_sha256).duplicates
    firsts = {Path(copy.other).name for copy in copies}
    assert not firsts & {Path(copy.path).name for copy in copies} and len(firsts) > 1
    assert min(copy.likeness for copy in copies) >= 0.75


def test_floating_point_is_looked_at_as_any_image(folder):
    deep = (np.asarray(photograph(3)) / 255).astype(np.float32)
    write(folder / "float.tif", Picture(deep))
    findings = check(folder, digest=pixels_sha256)
    path = str(folder / "float.tif")
    assert findings.odd == {path: "32 bits among 8"} and not findings.broken
    assert [(copy.path, copy.other) for copy in findings.duplicates] == [(path, str(folder / "3.png"))]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(RequestError) as refused:
        check(tmp_path / "none", digest=pixels_sha256)
    assert str(refused.value) == f"{tmp_path}/none: no such folder"
    with pytest.raises(RequestError, match="no images in this folder"):
        check(tmp_path, digest=pixels_sha256)


def test_no_training_photograph_here_is_named_as_bsd100(data_root):
    paths = find_images(data_root / "bsds500" / "train")
    assert named_alike(paths, reserved_names()) == {}


def photographs(data_root: Path) -> list[Path]:
    found = [
        path for name in PHOTOGRAPHS if (data_root / name).is_dir() for path in find_images(data_root / name)
    ]
    if len(found) < 400:
        pytest.skip("the photographs of bsds500, set5, set14 and kodak5 are not all here")
    return found


@pytest.mark.slow
def test_different_photographs_are_never_taken_for_the_same(data_root):
    paths = photographs(data_root)
    images = [read_samples(path) for path in paths]
    spectra = spectrum(np.stack([thumbnail(image) for image in images]))
    found = matches(Prints(spectra, np.stack([colour(image) for image in images])))
    pairs = {(paths[a].name, paths[b].name) for a, b in zip(found.ours, found.theirs, strict=True)}
    assert pairs == SAME


@pytest.mark.slow
def test_copies_of_photographs_are_found_resized_reencoded_and_turned(data_root, tmp_path):
    paths = find_images(data_root / "bsds500" / "dev30")
    ways = {
        "half.png": lambda p: p.resize((p.width // 2, p.height // 2), Image.BICUBIC),
        "small.jpg": lambda p: p.resize((p.width * 7 // 10, p.height * 7 // 10), Image.LANCZOS),
        "encoded.jpg": lambda p: p,
        "mirrored.jpg": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "turned.jpg": lambda p: p.transpose(Image.Transpose.ROTATE_270),
        "cropped.png": lambda p: p.crop((0, 0, p.width // 4 * 4, p.height // 4 * 4)),
        "grey.png": lambda p: p.convert("L"),
    }
    expected = {}
    for i, path in enumerate(paths):
        way, change = list(ways.items())[i % len(ways)]
        options = {"quality": 75} if way.endswith("jpg") else {}
        expected[save(tmp_path / "leaked", f"{i:02d}-{way}", change(Image.open(path)), **options)] = str(path)
    findings = check(tmp_path / "leaked", [data_root / "bsds500" / "dev30"], digest=pixels_sha256)
    assert {c.path: c.other for c in findings.leaks} == expected
    how = {c.path: c.how for c in findings.leaks}
    assert {h for path, h in how.items() if "mirrored" in path} == {"mirrored left to right"}
    assert {h for path, h in how.items() if "turned" in path} == {"turned by 90 degrees"}
    assert min(c.likeness for c in findings.leaks) > 0.9


def test_test_images_copied_under_other_names_are_found_by_the_manifests(data_root, tmp_path):
    for name in ("set5/HR/bird.png", "set14/HR/zebra.png"):
        save(tmp_path / "in", f"x{len(name)}.png", Image.open(data_root / name))
    save(tmp_path / "in", "own.png", photograph(0))
    findings = check(tmp_path / "in", digest=pixels_sha256, known=Known(reserved_pixels()))
    assert [c.other for c in findings.leaks] == ["set5/HR/bird.png", "set14/HR/zebra.png"]
