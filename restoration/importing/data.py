"""``datasets.train`` as our data: where the pairs come from, their crops, and how many make a batch."""

from typing import Any

from restoration.errors import ConfigError
from restoration.importing.options import Options
from restoration.importing.synthesis import asked, synthesis

TRAIN = ("datasets", "train")
COUNTED = "runs are counted in steps here, and every epoch is a permutation of all images"
WORDS = ("x1", "x2", "x3", "x4", "x8", "_x2", "_x3", "_x4", "_x8", "")
HOW_LISTED = (
    "all images of the folder are taken; data.images may also be a text file with one path in each line"
)
READER = "has no counterpart: threads read ahead by data.workers and data.ahead"


def data(options: Options, scale: int) -> dict[str, Any]:
    """Return the table of the data; pairs that are made on the fly get a degradation, paired folders their folders."""
    images = _folders(options, "dataroot_gt", "data.images")
    if not images:
        raise ConfigError(
            f"{options.file}: datasets.train.dataroot_gt is missing; expected the folder of clean images"
        )
    table: dict[str, Any] = {
        "images": images[0] if len(images) == 1 else images,
        "crop": _crop(options, scale),
    }
    if asked(options):
        table["degradation"] = synthesis(options, scale)
        options.report(*TRAIN, "dataroot_lq", why="pairs are made from the clean images here")
    elif degraded := _folders(options, "dataroot_lq", "data.degraded"):
        table["degraded"] = degraded[0] if len(degraded) == 1 else degraded
    else:
        table["degradation"] = _assumed(options, scale)
    table["augment"] = _augment(options)
    grey = _grey(options)
    workers = options.whole((*TRAIN, "num_worker_per_gpu"), (*TRAIN, "num_worker"), to="data.workers")
    _rest(options)
    return (
        table
        | ({"grey": True} if grey else {})
        | ({"workers": max(1, workers)} if workers is not None else {})
    )


def batch(options: Options) -> tuple[int, int]:
    """Return how many images make a batch over all devices, and into how many parts of it they are divided."""
    each = options.whole((*TRAIN, "batch_size_per_gpu"), (*TRAIN, "batch_size"), to="schedule.batch")
    if each is None:
        raise ConfigError(
            f"{options.file}: datasets.train.batch_size_per_gpu is missing; expected a number of images"
        )
    gpus = options.get("num_gpu")
    if isinstance(gpus, int):
        gpus = max(1, options.whole(("num_gpu",), to="schedule.batch") or 1)
    else:
        options.report(
            "num_gpu", why=f"batch = {each} is over all devices here; torchrun says how many there are"
        )
        gpus = 1
    parts = options.whole((*TRAIN, "accum_iter"), (*TRAIN, "accumulate"), to="schedule.micro_batches") or 1
    return each * gpus * max(1, parts), max(1, parts)


def _folders(options: Options, key: str, to: str) -> list[str]:
    value = options.take(*TRAIN, key, to=to)
    folders = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(folder, str) and folder for folder in folders):
        raise options.wrong(((*TRAIN, key),), value, "a folder, or a list of them")
    for folder in folders:
        if folder.rstrip("/").endswith(".lmdb"):
            raise ConfigError(
                f"{options.file}: datasets.train.{key} = '{folder}': LMDB is not read here; give the folder that it "
                "was made of, or make shards of that: restoration data pack"
            )
    return folders


def _crop(options: Options, scale: int) -> int:
    clean = options.whole((*TRAIN, "gt_size"), ("gt_size",), to="data.crop")
    degraded = options.whole((*TRAIN, "lq_size"), (*TRAIN, "patch_size"), to="data.crop")
    if clean is not None:
        return clean
    if degraded is None:
        raise ConfigError(
            f"{options.file}: datasets.train.gt_size is missing; expected the side of a crop in pixels"
        )
    return degraded * scale


def _augment(options: Options) -> bool:
    flips = options.switch((*TRAIN, "use_hflip"), (*TRAIN, "use_flip"), to="data.augment")
    turns = options.switch((*TRAIN, "use_rot"), to="data.augment")
    either = bool(flips or turns) or (flips is None and turns is None and options.of_neosr)
    for keys, value in ((("use_hflip", "use_flip"), flips), (("use_rot",), turns)):
        for key in keys:
            if either and value is False and options.below(*TRAIN, key):
                options.remark(
                    *TRAIN, key, why="augment = true here is all eight flips and quarter turns, or none"
                )
    return either


def _grey(options: Options) -> bool:
    colour = options.get(*TRAIN, "color")
    if colour in ("y", "gray", "grey"):
        options.take(*TRAIN, "color", to="data.grey")
        options.remark(*TRAIN, "color", why="grey here is MATLAB's rgb2gray, of full range")
        return True
    return False


def _assumed(options: Options, scale: int) -> dict[str, Any]:
    made = {"name": "bicubic", "scale": scale} if scale > 1 else {"name": "noise", "sigma": 25.0}
    options.chosen.append(
        f"data.degradation is {made['name']}: the file names no degraded images and makes none"
    )
    return made


def _rest(options: Options) -> None:
    """Account for what a data set may say beside."""
    for key, same in (("use_shuffle", True), ("phase", "train"), ("dataset_enlarge_ratio", 1)):
        if options.get(*TRAIN, key) == same:
            options.take(*TRAIN, key, to="data.images")
    if str(options.get(*TRAIN, "filename_tmpl")) in {f"{{}}{word}" for word in WORDS}:
        options.take(*TRAIN, "filename_tmpl", to="data.degraded")
    if options.get(*TRAIN, "io_backend", "type") == "disk":
        options.take(*TRAIN, "io_backend", "type", to="data.images")
    options.take(*TRAIN, "type", to="data.degraded" if options.get(*TRAIN, "dataroot_lq") else "data.images")
    reasons = {
        "name": "a label without effect",
        "use_shuffle": COUNTED,
        "dataset_enlarge_ratio": COUNTED,
        "filename_tmpl": "pairs are matched by their names here, but for marks such as x4 and _LR",
        "meta_info": HOW_LISTED,
        "meta_info_file": HOW_LISTED,
        "io_backend": "files are read from disk, shards or URLs, as data.images says",
        "prefetch_mode": READER,
        "num_prefetch_queue": READER,
        "pin_memory": READER,
        "persistent_workers": READER,
        "mean": "images are in [0, 1] here; a network that wants another range converts within itself",
        "std": "images are in [0, 1] here; a network that wants another range converts within itself",
        "color": "images are RGB here, or grey",
        "augmentation": "mixing of images has no counterpart here",
        "aug_prob": "mixing of images has no counterpart here",
        "clip_size": "single images are trained on here",
    }
    for key, why in reasons.items():
        options.report(*TRAIN, key, why=why)
