"""What stands around training in an option file: names, seeds, paths, validation, logs."""

import re
from collections.abc import Callable
from typing import Any

from restoration.errors import ConfigError
from restoration.importing.options import SECTIONS, Options, Place

# data sets with a protocol here, under the names that folders have
SETS = {
    "set5": "set5",
    "set14": "set14",
    "b100": "bsd100",
    "bsd100": "bsd100",
    "bsds100": "bsd100",
    "urban100": "urban100",
}
SCALES = (2, 3, 4)
# what a name says of the task, where nothing is enlarged
TASKS = {
    r"derain|rain": "deraining", r"deblur|gopro|blur": "deblurring", r"jpeg|jpg|dejpeg|fbcnn|compress": "jpeg",
    r"low.?light|lol\b|exposure|retinex": "low-light", r"inpaint": "inpainting", r"reflection": "reflection-removal",
    r"colou?ri[sz]": "colourisation",
}  # fmt: skip
VIDEO = re.compile(r"video|edvr|basicvsr|recurrent|tscu", re.IGNORECASE)
OTHER_SYSTEMS = re.compile(r"hifacegan|stylegan", re.IGNORECASE)
PLAIN_MODELS = (
    "srmodel", "srganmodel", "esrganmodel", "realesrnetmodel", "realesrganmodel", "swinirmodel",
    "imagerestorationmodel", "imagecleanmodel", "image", "otf", "default", "sr",
)  # fmt: skip
TORCHRUN = "PyTorch's launcher says this: torchrun --nproc-per-node N -m restoration train …"
WHEREVER = "TensorBoard's events are written wherever it is installed"
NO_SUCH = "no such logger here"
REASONS: dict[Place, str] = {
    ("dist_params",): TORCHRUN,
    ("launcher",): TORCHRUN,
    ("find_unused_parameters",): "not needed: only the parameters of the group that learns get gradients",
    ("deterministic",): "every draw is keyed by seed and sample here; kernels are PyTorch's",
    ("fast_matmul",): "PyTorch's own setting: torch.set_float32_matmul_precision",
    ("compile_mode",): "schedule.compile uses PyTorch's default mode",
    ("detect_anomaly",): "a value that is not finite stops the run and names the term and the images",
    ("input_pixel_format",): "images are RGB here, or grey",
    ("output_pixel_format",): "images are RGB here, or grey",
    ("auto_resume",): "the same command resumes",
    ("is_train",): "restoration train trains",
    (
        "path",
        "resume_state",
    ): "a run resumes in its own folder by the same command; states of others are not read",
    ("path", "ignore_resume_networks"): "the same command resumes a run as a whole",
    (
        "path",
        "strict_load",
    ): "initial takes every tensor that fits, and refuses where less than a quarter does",
    (
        "path",
        "strict_load_g",
    ): "initial takes every tensor that fits, and refuses where less than a quarter does",
    ("path", "strict_load_d"): "a discriminator starts from a file of an earlier run here: stack.N.initial",
    (
        "path",
        "pretrain_network_d",
    ): "a discriminator starts from a file of an earlier run here: stack.N.initial",
    ("path", "param_key_d"): "a discriminator starts from a file of an earlier run here: stack.N.initial",
    ("path", "param_key_g"): "params_ema is read where there is one, else params",
    ("path", "print_network"): "--dry-run shows parameters and costs",
    ("path", "experiments_root"): "--out says where a run lies; runs/NAME by default",
    ("logger", "print_freq"): "progress is shown live, and logged every 100 steps",
    ("logger", "use_tb_logger"): WHEREVER,
    ("logger", "save_tb_img"): WHEREVER,
    ("logger", "wandb"): NO_SUCH,
    ("logger", "save_checkpoint_format"): "safetensors, always",
    ("logger", "save_latest_freq"): "schedule.checkpoint says how often, schedule.keep how many",
    ("train", "net_d_iters"): "restorer and discriminator take turns, one step each",
    (
        "train",
        "net_d_init_iters",
    ): "both start at once here; start = N of the adversarial entry lets the restorer begin",
    ("train", "net_d_reg_every"): "r1_every of the adversarial entry",
    ("train", "adaptive_d"): "restorer and discriminator take turns, one step each",
    ("train", "ema_switch_iter"): "the average is never put back into the network here",
    ("train", "ema_power"): "the average's decay begins small and grows to schedule.average by itself",
    ("train", "wavelet_guided"): 'no such guidance here; the nearest term is "wavelet"',
    ("train", "wavelet_init"): 'no such guidance here; the nearest term is "wavelet"',
    ("train", "sam"): "no such optimiser here",
    ("train", "sam_init"): "no such optimiser here",
    ("train", "match_lq"): "no term here compares with the degraded colours",
    ("train", "match_lq_colors"): "no term here compares with the degraded colours",
    ("train", "use_moa"): "mixing of images has no counterpart here",
    ("train", "moa_augs"): "mixing of images has no counterpart here",
    ("train", "moa_probs"): "mixing of images has no counterpart here",
    ("network_d",): "there is no GAN loss that would train it",
    ("network_ae",): "no autoencoder is trained here",
}


def name(options: Options) -> str:
    """Return the experiment's name, made of what ours may hold."""
    given = options.get("name")
    text = str(options.take("name", to="name")) if given is not None else "imported"
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "imported"
    if given is not None and made != given:
        options.remark("name", why=f"names here hold letters, digits, '.', '_' and '-': {made}")
    return made


def task(options: Options, scale: int) -> str:
    """Return the task: super-resolution where something is enlarged, else what names suggest."""
    if scale > 1:
        return "super-resolution"
    words = " ".join(
        str(options.get(*place) or "")
        for place in (("name",), ("datasets", "train", "name"), ("datasets", "train", "dataroot_lq"))
    )
    found = next(
        (task for pattern, task in TASKS.items() if re.search(pattern, words, re.IGNORECASE)), "denoising"
    )
    options.chosen.append(
        f"task is {found}: at scale 1 the file does not say; it changes nothing but the card"
    )
    return found


def kind(options: Options) -> bool:
    """Return whether the adversary is relativistic, after refusing what is no restorer of single images."""
    given = options.get("model_type")
    if given is None:
        options.take("model_type", to="method.name")
        return False
    if VIDEO.search(str(given)) or OTHER_SYSTEMS.search(str(given)):
        raise ConfigError(
            f"{options.file}: model_type = {given!r}: no experiment here trains it; expected one of single images, "
            "such as SRModel, SRGANModel, ESRGANModel or RealESRGANModel"
        )
    if str(given).casefold() in PLAIN_MODELS:
        options.take("model_type", to="method.name")
    else:
        options.report(
            "model_type", why="the method 'direct' stands: the network's output is the restored image"
        )
    return str(given).casefold() == "esrganmodel"


def beginning(options: Options) -> dict[str, Any]:
    """Return the seed and what the restorer starts from."""
    seed = options.whole(("manual_seed",), to="seed")
    start = options.text(("path", "pretrain_network_g"), ("path", "pretrain_model_g"), to="initial")
    if options.get("path", "param_key_g") in ("params_ema", "params", None):
        options.take("path", "param_key_g", to="initial")
    return ({"seed": seed} if seed is not None else {}) | ({"initial": start} if start else {})


def validation(options: Options, scale: int) -> dict[str, Any]:
    """Return the protocols of the data sets that are known here, and how often they are measured."""
    sets = [key for key in options.get("datasets") or {} if key != "train"]
    protocols = [found for key in sets if (found := _protocol(options, ("datasets", key), scale))]
    every = options.whole(("val", "val_freq"), to="validation.every")
    shown = options.switch(("val", "save_img"), to="validation.previews")
    table: dict[str, Any] = {"protocols": list(dict.fromkeys(protocols))} if protocols else {}
    table |= ({"every": every} if every else {}) | ({"previews": 0} if shown is False else {})
    for metric in options.get("val", "metrics") or {}:
        _metric(options, ("val", "metrics", metric), bool(protocols), scale)
    if options.get("val", "val_enabled") is False:
        options.report("val", "val_enabled", why="validation.protocols without an entry measures nothing")
        table.pop("protocols", None)
    options.take("val", "val_enabled", to="validation.protocols")
    options.take("val", "metrics_enabled", to="validation.protocols")
    options.report(
        "val", why="a protocol says how results are measured; tiles and names are apply's: restoration apply"
    )
    return table


def remaining(options: Options) -> None:
    """Report what has no meaning here, and take what says what is so anyway."""
    asked: dict[Place, Callable[[Any], bool]] = {
        ("path", "resume_state"): lambda value: value is None,
        ("train", "net_d_iters"): lambda value: value == 1,
        ("train", "net_d_init_iters"): lambda value: value == 0,
        ("is_train",): lambda value: value is True,
        **{(section,): lambda value: not value for section in SECTIONS},
    }
    for place, same in asked.items():
        if options.below(*place) and same(options.get(*place)):
            options.take(*place, to="method.name")
    for place, why in REASONS.items():
        options.report(*place, why=why)


def _protocol(options: Options, place: Place, scale: int) -> str | None:
    """Return the protocol of a data set that is known by its own name or its folder's; report any other."""
    words = [str(options.get(*place, key) or "") for key in ("name", "dataroot_gt")]
    parts = [part for word in words for part in re.split(r"[^a-z0-9]+", word.casefold())]
    known = next((SETS[part] for part in parts if part in SETS), None)
    if known is None or scale not in SCALES:
        options.report(
            *place, why="no protocol here is of this data set; write one, and name it in validation.protocols"
        )
        return None
    for key in ("name", "dataroot_gt", "dataroot_lq", "type"):
        options.take(*place, key, to="validation.protocols")
    if options.get(*place, "io_backend", "type") == "disk":
        options.take(*place, "io_backend", "type", to="validation.protocols")
    options.report(*place, why=f"protocol {known}-x{scale} says which files and how")
    return f"{known}-x{scale}"


def _metric(options: Options, place: Place, measured: bool, scale: int) -> None:
    kind = str(options.get(*place, "type") or "").casefold()
    if not measured or kind not in ("calculate_psnr", "calculate_ssim"):
        options.report(*place, why="protocols name their own metrics; see restoration list metrics")
        return
    options.take(*place, "type", to="validation.protocols")
    for key, same in (("crop_border", scale), ("test_y_channel", True), ("better", "higher")):
        if options.get(*place, key) == same:
            options.take(*place, key, to="validation.protocols")
    options.report(*place, why=f"the protocol measures luma, without {scale} pixels of border")
