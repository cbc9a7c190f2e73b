"""Protocols: all names are here, every choice is spelled out, every mistake is one line."""

import dataclasses

import pytest

from restoration.benchmarks.protocol import (
    load_pairs_protocol,
    load_protocol,
    load_protocols,
    protocol_names,
    protocol_path,
)
from restoration.config import read_toml
from restoration.errors import ConfigError, RequestError

NAMES = {
    *(f"{d}-x{s}" for d in ("set5", "set14", "bsd100", "urban100") for s in (2, 3, 4)),
    *(f"{d}-x{s}-classic" for d in ("set5", "set14") for s in (2, 3, 4)),
    *(f"{d}-grey-{s}" for d in ("set12", "bsd68") for s in (15, 25, 50)),
    *(f"{d}-color-{s}" for d in ("cbsd68", "kodak24", "kodak5", "mcmaster") for s in (15, 25, 50)),
    *(
        "grey16-25",
        "bsds-dev30-x2",
        "bsds-dev30-x4",
        "bsds-dev30-color-25",
        "photos-x2",
        "photos-x4",
        "photos-color-25",
    ),
}


OTHERS = {
    *(f"vid4{part}" for part in ("", "-crop8")),
    *(f"vid4-calendar{part}" for part in ("", "-crop8", "-crop10")),
    *(
        "polyu",
        "polyu-100",
        "rain",
        "rain100l",
        "rain100h",
        "test100",
        "test1200",
        "test2800",
        "levin",
        "levin-32",
    ),
    *(
        f"reflection-{part}"
        for part in ("ceilnet", "ceilnet-100", "real", "flash", "noref", "real20", "nature20", "misaligned")
    ),
    *(f"reflection-sir2-{part}" for part in ("objects", "postcard", "wild")),
    *("uhdrr4k", "uhdrr8k", "masks-irregular", "masks-large"),
    *(f"{d}-irregular-{b}-{b + 10}" for d in ("masks", "paris") for b in (10, 20, 30, 40, 50)),
    *("celeba-test", "lfw-test", "wider-test", "webphoto-test", "celebadult-test"),
    *(f"celeba-256-{part}" for part in ("denoise", "sr", "inpaint", "colorize")),
    *("div2k-x2", "div2k-x3", "div2k-x4", "div2k-val", "realsr-val", "drealsr-val"),
    *("realsr-v3-x4", "realsr-ntire2019", "realset65", "lol"),
    *(f"{d}-jpeg-{q}" for d in ("live1-color", "live1-grey", "classic5") for q in (10, 20, 30, 40)),
    *(
        f"photos-{part}"
        for part in (
            "jpeg-10",
            "masks",
            "motion-blur",
            "rain",
            "reflection",
            "reflection-misaligned",
            "low-light",
            "reconstruction",
        )
    ),
    "bsds-dev30-pmrf-denoise",
    *(f"photos-pmrf-{part}" for part in ("denoise", "sr", "inpaint", "colorize", "blind")),
    *(f"{d}-reconstruction" for d in ("bsd100", "kodak24", "kodak5", "bsds-dev30")),
}
# what is cut off where it is neither nothing nor the scale
BORDERS = {
    "vid4": 0, "vid4-calendar": 0, "vid4-crop8": 8, "vid4-calendar-crop8": 8, "vid4-calendar-crop10": 10,
    "levin": 10, "levin-32": 10, "div2k-x2": 8, "div2k-x3": 9, "div2k-x4": 10, "div2k-val": 0, "realsr-val": 0,
    "drealsr-val": 0, "realset65": 0,
}  # fmt: skip


def refusal(*arguments) -> str:
    with pytest.raises(ConfigError) as caught:
        load_protocol(*arguments)
    return str(caught.value)


def test_every_name_that_other_parts_rely_on_is_shipped():
    assert set(protocol_names()) == NAMES | OTHERS


@pytest.mark.parametrize("name", sorted(NAMES | OTHERS))
def test_a_shipped_protocol_is_valid_carries_its_own_name_and_spells_everything_out(name):

    protocol = load_protocol(name)
    assert protocol.name == name
    assert set(read_toml(protocol_path(name))) == {field.name for field in dataclasses.fields(protocol)}
    assert protocol.source is not None
    assert protocol.task.endswith("super-resolution") == (protocol.scale > 1)
    assert protocol.border == BORDERS.get(name, protocol.scale if protocol.scale > 1 else 0)


@pytest.mark.parametrize("name", sorted(NAMES | OTHERS))
def test_the_first_comment_of_a_shipped_protocol_is_a_sentence_for_listings(name):

    first = protocol_path(name).read_text().split("\n")[0]
    assert first.startswith("# ") and first.endswith(".") and len(first) <= 120


def test_names_are_listed_with_numbers_in_order():
    names = protocol_names()
    assert names.index("set5-x2") < names.index("set5-x4") < names.index("set14-x2")
    assert names.index("kodak5-color-15") < names.index("kodak24-color-15")


def test_conventions_say_how_a_value_was_made():
    assert load_protocol("set5-x4").convention("psnr-y") == "y-float,border=4,uint8-output"
    assert load_protocol("set5-x4", ["luma=uint8"]).convention("ssim-y") == "y-uint8,border=4,uint8-output"
    assert load_protocol("set5-x4-classic").convention("psnr-y") == "y-only-uint8,border=4,uint8-output"
    assert load_protocol("grey16-25").convention("psnr-y") == "grey,border=0,uint8-output"
    assert load_protocol("kodak5-color-25").convention("psnr-rgb") == "rgb,border=0,uint8-output"


FLOW = "flow of the clean frames by DIS (Kroeger et al., 2016), OpenCV, medium preset"


@pytest.mark.parametrize(
    ("name", "settings", "metric", "expected"),
    [
        # luma that a metric makes or rounds by itself: the same value has the same convention
        (
            "set5-x4",
            ["luma=uint8"],
            "niqe",
            "y-uint8,border=4,uint8-output,luma rounded to 8 bits, its authors' model",
        ),
        ("set5-x4", [], "niqe", "y-uint8,border=4,uint8-output,luma rounded to 8 bits, its authors' model"),
        ("grey16-25", [], "niqe", "grey,border=0,uint8-output,luma rounded to 8 bits, its authors' model"),
        ("set5-x4", [], "gmsd", "y-of-yiq-float,border=4,uint8-output,as piq"),
        ("set5-x4", ["luma=uint8"], "vif", "y-of-yiq-float,border=4,uint8-output,pixel domain"),
        ("set5-x4", [], "brisque", "y-of-yiq-uint8,border=4,uint8-output,fitted to LIVE, as piq"),
        (
            "set5-x4",
            [],
            "lpips-vgg",
            "rgb,border=4,uint8-output,version 0.1, image at its size, scaled to [-1, 1]",
        ),
        ("set5-x4", [], "dists", "rgb,border=4,uint8-output,image not reduced"),
        (
            "set5-x4",
            [],
            "ms-ssim-rgb",
            "rgb,border=4,uint8-output,five scales of 2x2 means, gaussian-11, valid",
        ),
        ("set5-x4", [], "consistency", "rgb,border=0,uint8-output,reduced by MATLAB's bicubic"),
        # frames: whose flow, and whose mean
        ("vid4-calendar", [], "flicker", f"y-float,border=0,uint8-output,{FLOW}"),
        ("vid4", [], "flicker", f"y-float,border=0,uint8-output,mean=clips,{FLOW}"),
        (
            "vid4",
            ["degraded.flow=vid4/flow"],
            "flicker",
            "y-float,border=0,uint8-output,mean=clips,known flow",
        ),
        ("vid4", [], "psnr-y", "y-float,border=0,uint8-output,mean=clips"),
    ],
)
def test_conventions_tell_planes_that_metrics_make_and_variants(name, settings, metric, expected):
    found = load_protocol(name, settings, [metric]).convention(metric)
    assert found == expected or found.startswith(expected + " ") or found.startswith(expected + ",")


def test_conventions_of_sets_tell_estimator_and_reference():
    own = load_protocol("celeba-test", [], ["kid", "cmmd", "fid", "precision"])
    assert own.convention("kid").endswith(",unbiased estimator, no image with its own restoration")
    assert own.convention("cmmd").endswith("; its authors' code has the biased one")
    assert own.convention("precision").endswith(",3 nearest neighbours") and own.paired
    other = load_protocol("celeba-test", ["reference=/somewhere/ffhq"], ["kid", "fid", "psnr-rgb"])
    assert other.convention("kid").endswith(",unbiased estimator,reference=ffhq") and not other.paired
    assert other.convention("fid").endswith(",reference=ffhq") and other.name == "celeba-test"
    assert other.convention("psnr-rgb") == "rgb,border=0,uint8-output"
    assert "ViT-S/14 (tables: ViT-L/14)" in own.convention("fd-dinov2")


def test_a_mean_over_clips_needs_frames_and_a_camera_aside_needs_equal_sizes():
    assert refusal("set5-x4", ["mean=clips"]) == (
        'set5-x4.mean = "clips": expected degraded = { name = "frames", … }'
    )
    assert refusal("photos-jpeg-10", ["scale=2", "degraded.moved=1"]) == (
        "photos-jpeg-10.degraded.moved: expected 0, since scale = 2"
    )


def test_settings_that_the_convention_shows_keep_the_name_and_others_change_it():
    assert load_protocol("set5-x4", ["luma=uint8", "border=0"]).name == "set5-x4"
    assert load_protocol("set5-x4", [], ["psnr-y"]).name == "set5-x4"
    assert (
        load_protocol("kodak5-color-25", ["degraded.sigma=30"]).name == "kodak5-color-25[degraded.sigma=30]"
    )
    assert load_protocol("kodak5-color-25", ["degraded.sigma=25.0"]).name == "kodak5-color-25"
    assert (
        load_protocol("photos-x4", ['clean=["photos/coffee.png"]']).name
        == "photos-x4[clean=photos/coffee.png]"
    )
    long = load_protocol(
        "photos-x4", ['clean=["photos/coffee.png", "photos/rocket.jpg", "photos/china.jpg"]']
    ).name
    assert len(long) < 40 and long.startswith("photos-x4[clean=")


def test_the_digest_changes_with_a_setting_and_not_with_the_choice_of_metrics():
    digest = load_protocol("set5-x4").digest
    assert load_protocol("set5-x4", [], ["psnr-y"]).digest == digest
    assert load_protocol("set5-x4", ["luma=uint8"]).digest != digest


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("set5-x5",), "unknown protocol 'set5-x5'; did you mean 'set5-x4'?"),
        (("set5-x4", ["lume=uint8"]), "set5-x4.lume: unknown key; did you mean 'luma'?"),
        (
            ("set5-x4", ["luma=uint16"]),
            "set5-x4.luma = \"uint16\": expected 'float' or 'uint8'; did you mean 'uint8'?",
        ),
        (("set5-x4", ["border=four"]), 'set5-x4.border = "four": expected a whole number'),
        (("set5-x4", ["border=-1"]), "set5-x4.border = -1: expected greater than or equal to 0"),
        (("set5-x4", [], ["psnr-z"]), "set5-x4.metrics: unknown metric 'psnr-z'; did you mean 'psnr-y'?"),
        (("set5-x4", ["metrics=[]"]), None),
        (
            ("set5-x4", ["degraded.folde=x"]),
            "set5-x4.degraded.folde: unknown key of source 'files'; did you mean 'folder'?",
        ),
        (
            ("set5-x4", ["degraded.name=file"]),
            "set5-x4.degraded: unknown source 'file'; did you mean 'files'?",
        ),
        (("kodak5-color-25", ["degraded.sigma=-1"]), None),
        (
            ("grey16-25", [], ["psnr-rgb"]),
            "grey16-25.metrics: 'psnr-rgb' needs three channels, but colour = \"grey\" has one; "
            "expected metrics of one channel, such as psnr-y and ssim-y",
        ),
        (("set5-x4", ["border"]), "--set border: expected KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(arguments, message):
    said = refusal(*arguments)
    assert "\n" not in said
    assert message is None or said == message


def test_a_file_of_ones_own_is_read_and_its_mistakes_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntask = "denoising"\nclean = ["a"]\n')
    assert (
        refusal(path) == 'mine.degraded: missing; expected a table such as { name = "files", folder = "…" }'
    )
    path.write_text(path.read_text() + 'degraded = { name = "noise", sigma = 10 }\n')
    assert load_protocol(path).degraded == {"name": "noise", "sigma": 10, "seed": 0, "clip": False}
    path.write_text("name = [")
    assert refusal(path).startswith(f"{path}: not valid TOML: ")
    assert (
        refusal(tmp_path / "none.toml")
        == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    )


def test_a_list_of_protocols():
    assert [p.name for p in load_protocols("set5-x4, set14-x4")] == ["set5-x4", "set14-x4"]
    with pytest.raises(
        RequestError, match="'set5-x4,,set14-x4': expected protocols separated by single commas"
    ):
        load_protocols("set5-x4,,set14-x4")
    with pytest.raises(RequestError, match="'set5-x4,set5-x4': protocol 'set5-x4' is named twice"):
        load_protocols("set5-x4,set5-x4")


def test_pairs_take_scoring_keys_only():
    assert (
        load_pairs_protocol(["border=4"], ["psnr-y"]).convention("psnr-y") == "y-float,border=4,uint8-output"
    )
    with pytest.raises(ConfigError) as caught:
        load_pairs_protocol(["metric=x"])
    assert (
        str(caught.value)
        == "--set metric=x: with --pairs expected one of border, colour, luma, mean, output, reference, scale"
    )
