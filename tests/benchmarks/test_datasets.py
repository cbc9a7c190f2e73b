"""Where images lie: names are matched, pixels decide, and what is missing is named file by file."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.datasets import cases, identity, manifest, partners_of, pixels_sha256
from restoration.benchmarks.protocol import load_protocol, protocol_names
from restoration.benchmarks.samples import load_sample
from restoration.errors import ConfigError, RequestError
from restoration.image import read_samples


def picture(path: Path, size=(12, 8), seed=0, mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    samples = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(samples).save(path)
    return path


def own_protocol(folder: Path, body: str, scale: int = 4):
    path = folder / "own.toml"
    path.write_text(f'name = "own"\ntask = "super-resolution"\nscale = {scale}\n{body}\n')
    return load_protocol(path)


def refusal(protocol, root) -> str:
    with pytest.raises(RequestError) as caught:
        cases(protocol, root)
    return str(caught.value)


@pytest.mark.parametrize(
    "clean, degraded",
    [
        ("baby.png", "babyx4.png"),
        ("baby.png", "baby.bmp"),
        ("baby_GT.bmp", "baby_LR.png"),
        ("Baby.png", "babyX4.png"),
        ("img_001_SRF_4_HR.png", "img_001_SRF_4_LR.png"),
        ("0801.png", "0801x4.png"),
        ("photo-hr.png", "photo_bicubic_x4.png"),
        ("x4.png", "x4x4.png"),
    ],
)
def test_files_pair_by_name_whatever_marks_the_degraded_one(clean, degraded):
    ours, theirs = Path("a", clean), Path("b", degraded)
    other, partner = Path("a/zebra.png"), Path("b/zebrax4.png")
    assert partners_of([ours, other], [partner, theirs]) == {ours: theirs, other: partner}


def test_a_name_that_several_files_share_pairs_with_none():
    assert partners_of([Path("a/cat.png")], [Path("b/catx2.png"), Path("b/catx4.png")]) == {}


def test_an_exact_name_wins_over_one_with_a_mark():
    partners = partners_of([Path("a/catx2.png"), Path("a/cat.png")], [Path("b/cat.png"), Path("b/catx2.png")])
    assert partners == {Path("a/catx2.png"): Path("b/catx2.png"), Path("a/cat.png"): Path("b/cat.png")}


def test_own_folders_pair_and_keep_their_order(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "sharp" / f"{name}.png")
        picture(tmp_path / "small" / f"{name}x4.png", (3, 2))
    protocol = own_protocol(tmp_path, 'clean = ["sharp"]\ndegraded = { name = "files", folder = "small" }')
    found = cases(protocol, tmp_path)
    assert [(c.name, c.clean.name, c.degraded.name) for c in found] == [
        ("a.png", "a.png", "ax4.png"),
        ("b.png", "b.png", "bx4.png"),
    ]


def test_a_missing_partner_is_named(tmp_path):
    picture(tmp_path / "sharp/a.png")
    picture(tmp_path / "sharp/b.png")
    picture(tmp_path / "small/ax4.png")
    protocol = own_protocol(tmp_path, 'clean = ["sharp"]\ndegraded = { name = "files", folder = "small" }')
    assert refusal(protocol, tmp_path) == f"own: no degraded image in {tmp_path}/small for b.png"


def test_a_missing_or_empty_folder_is_named(tmp_path):
    protocol = own_protocol(tmp_path, 'clean = ["sharp"]\ndegraded = { name = "bicubic" }')
    assert refusal(protocol, tmp_path) == f"own: no such folder: {tmp_path}/sharp"
    (tmp_path / "sharp").mkdir()
    assert refusal(protocol, tmp_path) == f"own: no images in {tmp_path}/sharp"


def test_a_known_data_set_that_is_not_here_is_named_file_by_file_with_its_source_and_the_option(tmp_path):
    said = refusal(load_protocol("set5-x4"), tmp_path).split("\n")
    assert said == [
        f"set5-x4: 0 of 5 images are in {tmp_path}; missing: set5/HR/baby.png, set5/HR/bird.png, "
        "set5/HR/butterfly.png, set5/HR/head.png, set5/HR/woman.png",
        "get: https://github.com/zhaohengyuan1/PAN (datasets/Set5/HR)    or copy them there    "
        "or name another data root with --data or RESTORATION_DATA",
    ]


def test_only_the_files_that_are_missing_are_named(tmp_path):
    for name in ("baby.bmp", "bird_HR.png", "butterfly.png", "woman.png"):
        picture(tmp_path / "set5/HR" / name)
    said = refusal(load_protocol("set5-x4"), tmp_path).split("\n")[0]
    assert said == f"set5-x4: 4 of 5 images are in {tmp_path}; missing: set5/HR/head.png"


def test_long_lists_are_cut_with_the_number_left_out(tmp_path):
    said = refusal(load_protocol("urban100-x4"), tmp_path).split("\n")[0]
    assert said.endswith("urban100/HR/img_024.png and 76 more")


def test_single_files_that_are_missing_are_named_and_found_in_another_encoding(tmp_path):
    said = refusal(load_protocol("grey16-25"), tmp_path).split("\n")
    assert said[0] == f"grey16-25: missing in {tmp_path}: kodak5/kodim01.png"
    picture(tmp_path / "kodak5/kodim01.bmp")
    assert refusal(load_protocol("grey16-25"), tmp_path).split("\n")[0].endswith(": kodak5/kodim02.png")


def test_every_shipped_protocol_whose_data_is_not_here_says_where_to_get_it(tmp_path):
    for name in protocol_names():
        if not name.startswith("photos"):
            said = refusal(load_protocol(name), tmp_path).split("\n")
            assert len(said) == 2 and "https://" in said[1], name


def test_other_names_are_used_all_the_same_as_long_as_the_number_fits(tmp_path):
    for i in range(5):
        picture(tmp_path / "set5/HR" / f"image{i}.png", seed=i)
        picture(tmp_path / "set5/LR_bicubic_x4" / f"image{i}x4.png", (3, 2))
    assert len(cases(load_protocol("set5-x4"), tmp_path)) == 5


def test_the_shipped_photographs_need_no_data_root_and_are_those_of_the_manifest(tmp_path):
    protocol = load_protocol("photos-x4")
    found = cases(protocol, tmp_path / "nowhere")
    assert found[0].name == "photos/astronaut.png" and len(found) == 6
    pixels = {case.name: pixels_sha256(read_samples(case.clean)) for case in found}
    assert identity(protocol, pixels) == "all 6 images are those of the manifest"


def test_every_shipped_photograph_has_a_line_in_the_manifest_and_in_the_attribution():
    folder = Path(str(files("restoration"))) / "photos"
    photographs = {path.name for path in folder.iterdir() if path.name != "ATTRIBUTION.md"}
    assert {f"photos/{name}" for name in photographs} == set(manifest("photos"))
    attribution = (folder / "ATTRIBUTION.md").read_text()
    assert all(f"| {name} |" in attribution for name in photographs)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6


def test_pixels_decide_not_names_or_encodings(tmp_path):
    first = picture(tmp_path / "a.png", seed=1)
    again = tmp_path / "renamed.bmp"
    Image.open(first).save(again)
    assert pixels_sha256(read_samples(first)) == pixels_sha256(read_samples(again))
    other = picture(tmp_path / "b.png", seed=2)
    assert pixels_sha256(read_samples(first)) != pixels_sha256(read_samples(other))


def test_a_copy_that_differs_is_named_in_words():
    protocol = load_protocol("set5-x4")
    known = {
        name.rpartition("/")[2]: r.pixels_sha256 for name, r in manifest("set5").items() if "/HR/" in name
    }
    assert identity(protocol, known) == "all 5 images are those of the manifest"
    changed = known | {"baby.png": "0"}
    assert identity(protocol, changed) == "1 of 5 images are not those of the manifest: baby.png"
    assert identity(load_protocol("set12-grey-25"), {"01.png": "0"}) == (
        "not verified: the manifest knows names and sources of these 12 images, no hashes"
    )


def test_the_data_here_is_that_of_the_manifests(data_root):
    import hashlib

    for name in ("set5", "set14", "kodak5", "bsds500"):
        for file, record in manifest(name).items():
            path = data_root / file
            if path.is_file():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256, file


def pairs_of(protocol, root) -> list[tuple[str, str, str]]:
    """Return name, clean and given file of every case, below the data root."""
    return [
        (case.name, *(path and path.relative_to(root).as_posix() for path in (case.clean, case.degraded)))
        for case in cases(protocol, root)
    ]


def test_stars_pair_files_of_one_folder(tmp_path):
    for name in ("a_mean.JPG", "a_real.JPG", "b_mean.JPG", "b_real.png", "notes_of_a.png"):
        picture(tmp_path / "mine" / name)
    body = 'clean = ["mine/*_mean.JPG"]\ndegraded = { name = "files", folder = "mine/*_real.JPG" }'
    assert pairs_of(own_protocol(tmp_path, body), tmp_path) == [
        ("a_mean.JPG", "mine/a_mean.JPG", "mine/a_real.JPG"),
        ("b_mean.JPG", "mine/b_mean.JPG", "mine/b_real.png"),
    ]


def test_more_stars_give_one_clean_image_several_degraded_ones(tmp_path):
    for name in ("gt/im1.png", "gt/im2.png", "im1_k1.png", "im1_k2.png", "im2_k1.png", "im2_k2.png"):
        picture(tmp_path / "shakes" / name)
    body = 'clean = ["shakes/gt/im*.png"]\ndegraded = { name = "files", folder = "shakes/im*_k*.png" }'
    found = pairs_of(own_protocol(tmp_path, body), tmp_path)
    assert [(name, clean[-7:]) for name, clean, _ in found] == [
        ("im1_k1.png", "im1.png"), ("im1_k2.png", "im1.png"), ("im2_k1.png", "im2.png"), ("im2_k2.png", "im2.png"),
    ]  # fmt: skip
    assert all(given == f"shakes/{name}" for name, _, given in found)


def test_a_clean_image_without_a_partner_of_its_text_is_named(tmp_path):
    for name in ("a_mean.png", "b_mean.png", "a_real.png"):
        picture(tmp_path / "mine" / name)
    body = 'clean = ["mine/*_mean.png"]\ndegraded = { name = "files", folder = "mine/*_real.png" }'
    protocol = own_protocol(tmp_path, body)
    assert (
        refusal(protocol, tmp_path) == f"own: no degraded image in {tmp_path}/mine/*_real.png for b_mean.png"
    )
    (tmp_path / "mine" / "a_real.png").unlink()
    assert refusal(protocol, tmp_path) == f"own: no images named {tmp_path}/mine/*_real.png"


def clips(root: Path, frames: int) -> None:
    for clip in ("city", "walk"):
        for i in range(frames):
            picture(root / "film/GT" / clip / f"{i:08}.png")
            picture(root / "film/LR" / clip / f"{i:08}.png", (3, 2))


def test_frames_at_both_ends_of_a_clip_are_left_out(tmp_path):
    clips(tmp_path, 4)
    body = 'clean = ["film/GT/*/*.png"]\ndegraded = { name = "frames", folder = "film/LR/*/*.png", skip = [2, 1] }'
    protocol = own_protocol(tmp_path, body)
    assert pairs_of(protocol, tmp_path) == [
        (f"{clip}/00000002.png", f"film/GT/{clip}/00000002.png", f"film/LR/{clip}/00000002.png")
        for clip in ("city", "walk")
    ]
    long = own_protocol(tmp_path, body.replace("[2, 1]", "[2, 9]"))
    assert refusal(long, tmp_path) == "own: no clip has more than the 2 + 9 frames that are left out"


def masks(root: Path, *shares: float) -> None:
    for i, share in enumerate(shares):
        samples = np.zeros((10, 10), np.uint8)
        samples.reshape(-1)[: round(100 * share)] = 255
        (root / "holes").mkdir(exist_ok=True)
        Image.fromarray(samples).save(root / "holes" / f"{i}.png")


def test_masks_go_round_and_only_those_of_a_bin_are_used(tmp_path):
    for name in "abc":
        picture(tmp_path / "sharp" / f"{name}.png")
    masks(tmp_path, 0.1, 0.15, 0.2, 0.6)
    body = 'clean = ["sharp"]\ndegraded = {{ name = "masks", folder = "holes", hole = "{}", ratio = [{}, {}] }}'.format
    given = [g for _, _, g in pairs_of(own_protocol(tmp_path, body("white", 0.1, 0.2)), tmp_path)]
    assert given == ["holes/1.png", "holes/2.png", "holes/1.png"]
    given = [g for _, _, g in pairs_of(own_protocol(tmp_path, body("black", 0.3, 0.4)), tmp_path)]
    assert given == ["holes/3.png"] * 3
    none = own_protocol(tmp_path, body("white", 0.2, 0.3))
    assert refusal(none, tmp_path) == f"own: none of the images in {tmp_path}/holes is as 'degraded' asks"


def test_images_that_share_a_file_are_one_cluster(tmp_path):
    for name in ("gt/im1.png", "gt/im2.png", "im1_k1.png", "im1_k2.png", "im2_k1.png"):
        picture(tmp_path / "shakes" / name)
    body = 'clean = ["shakes/gt/im*.png"]\ndegraded = { name = "files", folder = "shakes/im*_k*.png" }'
    found = cases(own_protocol(tmp_path, body), tmp_path)
    assert [case.cluster for case in found] == ["im1.png", "im1.png", "im2.png"]
    clips(tmp_path, 2)
    body = 'clean = ["film/GT/*/*.png"]\ndegraded = { name = "frames", folder = "film/LR/*/*.png" }'
    assert [case.cluster for case in cases(own_protocol(tmp_path, body), tmp_path)] == ["city"] * 2 + [
        "walk"
    ] * 2
    for name in "abc":
        picture(tmp_path / "sharp" / f"{name}.png")
    masks(tmp_path, 0.1, 0.2)
    body = 'clean = ["sharp"]\ndegraded = { name = "masks", folder = "holes", hole = "white" }'
    assert [case.cluster for case in cases(own_protocol(tmp_path, body), tmp_path)] == [
        "a.png",
        "b.png",
        "c.png",
    ]
    body = 'clean = ["sharp"]\ndegraded = { name = "bicubic" }'
    assert [case.cluster for case in cases(own_protocol(tmp_path, body), tmp_path)] == [
        "a.png",
        "b.png",
        "c.png",
    ]


def test_masks_are_turned_by_the_names_of_images(tmp_path):
    for i in range(24):
        picture(tmp_path / "sharp" / f"{i}.png", (20, 20))
    samples = np.zeros((20, 20), np.uint8)
    samples[:4, :9] = 255  # looks different by each of the eight ways
    (tmp_path / "holes").mkdir()
    Image.fromarray(samples).save(tmp_path / "holes" / "0.png")
    body = 'clean = ["sharp"]\ndegraded = { name = "masks", folder = "holes", hole = "white", turned = true }'
    protocol = own_protocol(tmp_path, body, scale=1)
    found = [load_sample(protocol, case).mask for case in cases(protocol, tmp_path)]
    assert all(mask.sum() == 36 for mask in found)
    ways = {mask.numpy().tobytes() for mask in found}
    assert 7 <= len(ways) <= 8
    again = [load_sample(protocol, case, 5, 99).mask for case in cases(protocol, tmp_path)]
    assert all(map(torch.equal, found, again)), "whatever an image's place"


def test_a_reference_that_is_not_there_or_not_asked_for_is_one_line(tmp_path):
    picture(tmp_path / "sharp" / "a.png")
    body = 'clean = ["sharp"]\ndegraded = { name = "bicubic" }\nreference = "faces"'
    protocol = own_protocol(tmp_path, body + '\nmetrics = ["psnr-y"]')
    assert refusal(protocol, tmp_path) == (
        "own.reference: no metric of sets is measured; expected one, such as kid"
    )
    protocol = own_protocol(tmp_path, body + '\nmetrics = ["kid"]')
    said = f"own.reference: {tmp_path}/faces: no such folder; expected a folder of clean images"
    assert refusal(protocol, tmp_path) == said
    (tmp_path / "faces").mkdir()
    assert refusal(protocol, tmp_path) == said.replace("no such folder", "holds no images")


def test_degraded_images_alone_need_no_clean_ones(tmp_path):
    picture(tmp_path / "found" / "a.png")
    protocol = own_protocol(tmp_path, 'clean = []\ndegraded = { name = "files", folder = "found" }')
    assert pairs_of(protocol, tmp_path) == [("a.png", None, "found/a.png")]
    with pytest.raises(ConfigError) as caught:
        own_protocol(tmp_path, 'clean = []\ndegraded = { name = "bicubic" }')
    assert str(caught.value) == (
        "own.clean = []: expected folders or files; only given degraded images do without clean ones"
    )


def test_images_without_a_known_name_are_counted_and_shown_as_a_star(tmp_path):
    for i in range(19):
        picture(tmp_path / "reflection/real20/transmission_layer" / f"{i}.jpg")
    said = refusal(load_protocol("reflection-real20"), tmp_path).split("\n")
    assert said[0] == (
        f"reflection-real20: 19 of 20 images are in {tmp_path}; missing: reflection/real20/transmission_layer/*.jpg"
    )
    assert said[1].startswith(
        "get: https://github.com/ceciliavision/perceptual-reflection-removal    or copy"
    )
