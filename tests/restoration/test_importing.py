"""Option files of BasicSR, traiNNer-redux and neosr: no leaf is lost, and what comes out is an experiment."""

import copy
import json
import math
import textwrap
from pathlib import Path

import pytest
import torch
import typer

from restoration import config
from restoration.benchmarks.protocol import protocol_names
from restoration.cli_import import import_
from restoration.data import data_root
from restoration.degradations import DEGRADATIONS
from restoration.errors import ConfigError, RequestError
from restoration.experiment import Schedule, load
from restoration.importing import check, import_options, imported
from restoration.importing.adversarial import RULES as DISCRIMINATOR_RULES
from restoration.importing.losses import RULES as LOSS_RULES
from restoration.importing.networks import RULES as NETWORK_RULES
from restoration.importing.options import Options, dotted, leaves, read
from restoration.importing.presets import PRESETS
from restoration.importing.settings import SCALES, SETS
from restoration.importing.training import share_of
from restoration.losses import TERMS
from restoration.losses.discriminators import DISCRIMINATORS
from restoration.networks import NETWORKS
from restoration.parts import build_degradation
from restoration.train import rate

SRRESNET = """
name: SRResNet_x4
model_type: SRModel
scale: 4
num_gpu: 1
manual_seed: 0
datasets:
  train:
    name: DIV2K
    type: PairedImageDataset
    dataroot_gt: div2k/HR
    dataroot_lq: div2k/LR_x4
    filename_tmpl: '{}x4'
    io_backend: {type: disk}
    gt_size: 96
    use_hflip: true
    use_rot: true
    use_shuffle: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
    dataset_enlarge_ratio: 100
    prefetch_mode: ~
  val:
    name: Set5
    type: PairedImageDataset
    dataroot_gt: somewhere/Set5/GTmod12
    dataroot_lq: somewhere/Set5/LRbicx4
    io_backend: {type: disk}
  val_2:
    name: my photographs
    type: PairedImageDataset
    dataroot_gt: somewhere/else
    dataroot_lq: somewhere/else_x4
network_g: {type: MSRResNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 16, upscale: 4}
path: {pretrain_network_g: ~, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler:
    type: CosineAnnealingRestartLR
    periods: [250000, 250000, 250000, 250000]
    restart_weights: [1, 1, 1, 1]
    eta_min: 1e-7
  total_iter: 1000000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
val:
  val_freq: 5e3
  save_img: false
  metrics:
    psnr: {type: calculate_psnr, crop_border: 4, test_y_channel: true}
    ssim: {type: calculate_ssim, crop_border: 0, test_y_channel: false}
logger:
  print_freq: 100
  save_checkpoint_freq: 5e3
  use_tb_logger: true
  wandb: {project: ~, resume_id: ~}
dist_params: {backend: nccl, port: 29500}
"""
EDSR = """
name: EDSR_Mx2
model_type: SRModel
scale: 2
num_gpu: 4
datasets:
  train:
    type: PairedImageDataset
    dataroot_gt: div2k/HR
    gt_size: 96
    use_flip: true
    use_rot: true
    batch_size_per_gpu: 4
network_g:
  {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 16, upscale: 2, res_scale: 1, img_range: 255.,
   rgb_mean: [0.4488, 0.4371, 0.4040]}
train:
  optim_g: {type: Adam, lr: 1e-4, weight_decay: 1e-5, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [200000, 300000], gamma: 0.5}
  total_iter: 300000
  warmup_iter: 500
  pixel_opt: {type: CharbonnierLoss, loss_weight: 0.5, reduction: sum, eps: 1e-6}
"""
ESRGAN = """
name: ESRGAN x4
model_type: ESRGANModel
scale: 4
num_gpu: 1
manual_seed: 10
datasets:
  train:
    name: DIV2K
    type: PairedImageDataset
    dataroot_gt: div2k/HR
    dataroot_lq: div2k/LR
    gt_size: 128
    use_hflip: true
    use_rot: true
    batch_size_per_gpu: 16
    num_worker_per_gpu: 6
network_g: {type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23}
network_d: {type: VGGStyleDiscriminator, num_in_ch: 3, num_feat: 64}
path: {pretrain_network_g: net_g.pth, param_key_g: params, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  optim_d: {type: Adam, lr: 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [50000, 100000, 200000, 300000], gamma: 0.5}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1e-2, reduction: mean}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {conv5_4: 1}
    vgg_type: vgg19
    use_input_norm: true
    range_norm: false
    perceptual_weight: 1.0
    style_weight: 0.5
    criterion: fro
  gan_opt: {type: GANLoss, gan_type: vanilla, real_label_val: 1.0, fake_label_val: 0.0, loss_weight: 5e-3}
  net_d_iters: 1
  net_d_init_iters: 1000
"""
REAL_ESRGAN = """
name: Real-ESRGAN_x4
model_type: RealESRGANModel
scale: 4
num_gpu: 2
l1_gt_usm: true
percep_gt_usm: true
gan_gt_usm: false
resize_prob: [0.2, 0.7, 0.1]
resize_range: [0.15, 1.5]
gaussian_noise_prob: 0.5
noise_range: [1, 30]
poisson_scale_range: [0.05, 3]
gray_noise_prob: 0.4
jpeg_range: [30, 95]
second_blur_prob: 0.8
resize_prob2: [0.3, 0.4, 0.3]
resize_range2: [0.3, 1.2]
gaussian_noise_prob2: 0.5
noise_range2: [1, 25]
poisson_scale_range2: [0.05, 2.5]
gray_noise_prob2: 0.4
jpeg_range2: [30, 95]
gt_size: 256
queue_size: 180
datasets:
  train:
    name: DF2K+OST
    type: RealESRGANDataset
    dataroot_gt: df2k
    meta_info: df2k/list.txt
    io_backend: {type: disk}
    blur_kernel_size: 21
    kernel_list: &families [iso, aniso, generalized_iso, generalized_aniso, plateau_iso, plateau_aniso]
    kernel_prob: &shares [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
    sinc_prob: 0.1
    blur_sigma: [0.2, 3]
    betag_range: [0.5, 4]
    betap_range: [1, 2]
    blur_kernel_size2: 21
    kernel_list2: *families
    kernel_prob2: *shares
    sinc_prob2: 0.1
    blur_sigma2: [0.2, 1.5]
    betag_range2: [0.5, 4]
    betap_range2: [1, 2]
    final_sinc_prob: 0.8
    gt_size: 256
    use_hflip: true
    use_rot: false
    use_shuffle: true
    num_worker_per_gpu: 5
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
network_g: {type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23, num_grow_ch: 32}
network_d: {type: UNetDiscriminatorSN, num_in_ch: 3, num_feat: 64, skip_connection: true}
path: {pretrain_network_g: RealESRNet_x4plus.pth, param_key_g: params_ema, strict_load_g: true}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  optim_d: {type: Adam, lr: 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [400000], gamma: 0.5}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {conv1_2: 0.1, conv2_2: 0.1, conv3_4: 1, conv4_4: 1, conv5_4: 1}
    perceptual_weight: 1.0
    style_weight: 0
    criterion: l1
  gan_opt: {type: GANLoss, gan_type: vanilla, loss_weight: 1e-1}
  net_d_iters: 1
  net_d_init_iters: 0
"""
SWINIR = """
name: SwinIR_light_x2
model_type: SwinIRModel
scale: 2
num_gpu: auto
datasets:
  train:
    type: PairedImageDataset
    dataroot_gt: [div2k/HR, flickr2k/HR]
    dataroot_lq: [div2k/LR, flickr2k/LR]
    gt_size: 128
    use_hflip: true
    use_rot: true
    num_worker_per_gpu: 0
    batch_size_per_gpu: 4
network_g:
  type: SwinIR
  upscale: 2
  in_chans: 3
  img_size: 64
  window_size: 8
  img_range: 1.
  depths: [6, 6, 6, 6]
  embed_dim: 60
  num_heads: [6, 6, 6, 6]
  mlp_ratio: 2
  upsampler: pixelshuffledirect
  resi_connection: 1conv
  use_flash: true
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: CosineAnnealingRestartLR, periods: [500000], restart_weights: [1], eta_min: 0}
  total_iter: 500000
  pixel_opt: {type: MSELoss}
"""
TRAINNER = """
name: 4x_span
scale: 4
use_amp: true
amp_bf16: false
use_channels_last: true
use_compile: false
fast_matmul: false
num_gpu: auto
manual_seed: 1024
datasets:
  train:
    name: Train Dataset
    type: PairedImageDataset
    dataroot_gt: [photos/a/hr, photos/b/hr]
    dataroot_lq: [photos/a/lr, photos/b/lr]
    io_backend: {type: disk}
    lq_size: 64
    use_hflip: true
    use_rot: true
    num_worker_per_gpu: 8
    batch_size_per_gpu: 8
    accum_iter: 2
    dataset_enlarge_ratio: auto
    prefetch_mode: ~
network_g: {type: span, bias: true}
network_d: {type: metagan2, dims: [48, 96]}
train:
  ema_decay: 0.999
  ema_switch_iter: 0
  grad_clip: true
  optim_g: {type: AdamW, lr: 1e-4, weight_decay: 0.01, betas: [0.9, 0.99]}
  optim_d: {type: AdamW, lr: 5e-5, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [60000, 120000], gamma: 0.5}
  total_iter: 200000
  warmup_iter: 1000
  losses:
    - {type: mssimloss, loss_weight: 1.0}
    - {type: CharbonnierLoss, loss_weight: 0.5}
    - {type: perceptualloss, loss_weight: 0.03, criterion: charbonnier, w_lambda: 0.01}
    - {type: hsluvloss, loss_weight: 1.0}
    - {type: ldlloss, loss_weight: 1.0, criterion: l1}
    - {type: fftloss, loss_weight: 0.1}
    - {type: lumaloss, loss_weight: 0, criterion: charbonnier}
    - {type: ganloss, gan_type: vanilla, loss_weight: 0.1}
val: {val_enabled: false, val_freq: 1000, save_img: true, tile_size: 0}
logger: {print_freq: 100, save_checkpoint_freq: 1000, save_checkpoint_format: safetensors, use_tb_logger: true}
"""
NEOSR = """
name = "compact_otf"
model_type = "otf"
scale = 4
use_amp = true
bfloat16 = true
compile = true
[datasets.train]
type = "otf"
dataroot_gt = 'photos/gt'
patch_size = 64
batch_size = 8
accumulate = 2
augmentation = ["none", "mixup"]
aug_prob = [0.5, 0.1]
[degradations]
resize_prob = [0.3, 0.4, 0.3]
resize_range = [0.5, 1.5]
gaussian_noise_prob = 0.2
noise_range = [0, 2]
poisson_scale_range = [0.05, 0.25]
gray_noise_prob = 0.1
jpeg_range = [40, 95]
second_blur_prob = 0.4
blur_kernel_size = 7
kernel_list = ["iso", "aniso"]
kernel_prob = [0.7, 0.3]
sinc_prob = 0.0
blur_kernel_size2 = 9
sinc_prob2 = 1.0
final_sinc_prob = 0.0
[val]
val_freq = 1000
tile = 200
[path]
[network_g]
type = "compact"
[network_d]
type = "unet"
[train]
ema = 0.999
wavelet_guided = true
eco = true
[train.optim_g]
type = "adan_sf"
lr = 1e-3
betas = [0.98, 0.92, 0.99]
schedule_free = true
[train.optim_d]
type = "adamw"
lr = 1e-4
betas = [0.9, 0.99]
[train.mssim_opt]
type = "mssim_loss"
loss_weight = 1.0
[train.consistency_opt]
type = "consistency_loss"
loss_weight = 1.0
[train.gan_opt]
type = "gan_loss"
gan_type = "huber"
loss_weight = 0.3
[logger]
total_iter = 1000000
save_checkpoint_freq = 1000
use_tb_logger = true
"""
FILES = {
    "srresnet.yml": SRRESNET,
    "edsr.yml": EDSR,
    "esrgan.yml": ESRGAN,
    "real-esrgan.yml": REAL_ESRGAN,
    "swinir.yml": SWINIR,
    "trainner.yaml": TRAINNER,
    "neosr.toml": NEOSR,
}
every = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def options(tmp_path):
    def written(name: str, text: str | None = None, **changes: str) -> object:
        text = textwrap.dedent(FILES[name] if text is None else text)
        for old, new in changes.values():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def made(path: object) -> dict:
    return imported(read(path)).experiment


def changed(name: str, *replaced: tuple[str, str]) -> str:
    text = FILES[name]
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    return text


# --- nothing is lost


@every
def test_every_leaf_is_translated_or_reported(name, options):
    path = options(name)
    found = imported(read(path))
    noted = [note.path for note in found.notes]
    assert sorted([*found.translated, *noted]) == sorted(dotted(leaf) for leaf in leaves(read(path).document))
    assert {note.path for note in found.remarks} <= set(found.translated)
    assert all(
        note.why and "nothing was made of it" not in note.why
        for note in found.notes
        if note.path not in ("train.eco",)
    )


@every
def test_the_result_is_an_experiment_down_to_every_keyword(name, options, tmp_path):
    found = import_options(options(name))
    (tmp_path / "out.toml").write_text(found.text())
    settings = load(str(tmp_path / "out.toml"))
    assert settings.name == found.experiment["name"]
    assert settings.stack[0]["weight"] == found.experiment["stack"][0]["weight"]
    for note in found.notes:
        assert f"#   {note.path} = {json.dumps(note.value)}: {note.why}" in found.text()


def test_an_option_that_nobody_knows_is_reported(options):
    text = changed(
        "edsr.yml", ("train:\n  optim_g", "train:\n  colour_of_the_sky: [blue, {at_night: black}]\n  optim_g")
    )
    notes = {note.path: note for note in imported(read(options("edsr.yml", text))).notes}
    assert notes["train.colour_of_the_sky.0"].value == "blue"
    assert notes["train.colour_of_the_sky.1.at_night"].why.startswith(
        "no option of these projects that is known here"
    )


@pytest.mark.slow
@every
@pytest.mark.parametrize("odd", ["odd", [1, "odd"], {"odd": 1}], ids=["text", "list", "table"])
def test_whatever_a_leaf_says_it_is_accounted_for_or_refused_in_one_line(name, odd, options):
    document = read(options(name)).document
    for leaf in leaves(document):
        spoilt = copy.deepcopy(document)
        table = spoilt
        for key in leaf[:-1]:
            table = table[key]
        table[leaf[-1]] = odd
        try:
            found = imported(Options("spoilt", spoilt))
        except RequestError as error:
            assert str(error).startswith("spoilt: ") and "\n" not in str(error)
        else:
            accounted = [*found.translated, *(note.path for note in found.notes)]
            assert sorted(accounted) == sorted(dotted(leaf) for leaf in leaves(spoilt))


# --- what becomes of what


def test_srresnet(options):
    found = imported(read(options("srresnet.yml")))
    experiment = found.experiment
    assert experiment["schedule"] == {
        "steps": 1_000_000, "batch": 16, "warmup": 0, "decay": "cosine", "bfloat16": False, "clip": 0.0,
        "average": 0.999, "checkpoint": 5000,
    }  # fmt: skip
    assert experiment["data"] == {
        "images": "div2k/HR", "crop": 96, "degraded": "div2k/LR_x4", "augment": True, "workers": 6,
    }  # fmt: skip
    assert experiment["network"] == {
        "name": "msrresnet",
        "scale": 4,
        "channels": 3,
        "width": 64,
        "blocks": 16,
    }
    assert experiment["stack"] == [{"name": "l1", "weight": 1.0}]
    assert experiment["optimizer"] == {"default": {"name": "adam", "lr": 2e-4, "betas": [0.9, 0.99]}}
    assert experiment["validation"] == {"protocols": ["set5-x4"], "every": 5000, "previews": 0}
    assert (experiment["task"], experiment["seed"]) == ("super-resolution", 0)
    noted = {note.path for note in found.notes}
    assert {"train.scheduler.periods", "train.scheduler.eta_min", "datasets.val_2.dataroot_gt"} <= noted
    assert "val.metrics.ssim.crop_border" in noted and "val.metrics.psnr.crop_border" in found.translated


def test_edsr(options):
    found = imported(read(options("edsr.yml")))
    experiment = found.experiment
    assert experiment["network"] == {
        "name": "edsr", "scale": 2, "channels": 3, "width": 64, "blocks": 16, "residual_scale": 1, "span": 255.0,
    }  # fmt: skip
    assert experiment["stack"] == [{"name": "charbonnier", "weight": 0.5, "epsilon": pytest.approx(1e-3)}]
    assert experiment["schedule"]["batch"] == 16 and experiment["schedule"]["average"] == 0
    assert experiment["schedule"]["milestones"] == [share_of(200_000, 300_000)]
    assert experiment["data"]["degradation"] == {"name": "bicubic", "scale": 2}  # no degraded folder is named
    assert found.chosen == ["data.degradation is bicubic: the file names no degraded images and makes none"]
    noted = {note.path: note.why for note in found.notes}
    assert noted["train.optim_g.weight_decay"].startswith('"adam" has none here')
    assert noted["train.pixel_opt.reduction"] == "term 'charbonnier' has no such keyword"


def test_esrgan(options):
    found = imported(read(options("esrgan.yml")))
    stack = found.experiment["stack"]
    features = {"features": "vgg19", "layers": ["conv5_4"], "weights": [1.0], "distance": "l1"}
    assert stack == [
        {"name": "l1", "weight": 0.01},
        {"name": "perceptual", "weight": 1.0, **features},
        {"name": "style", "weight": 0.5, **features},
        {
            "name": "adversarial", "weight": 0.005, "objective": "relativistic",
            "discriminator": {"name": "vgg-style", "channels": 3, "width": 64},
        },
    ]  # fmt: skip
    assert found.experiment["optimizer"]["adversarial"]["lr"] == 2e-4
    assert found.experiment["initial"] == "net_g.pth"
    assert found.experiment["network"]["scale"] == 4  # of the file, not of its network
    noted = {note.path for note in found.notes}
    assert {"train.perceptual_opt.criterion", "train.net_d_init_iters"} <= noted


def test_real_esrgan(options):
    found = imported(read(options("real-esrgan.yml")))
    assert found.experiment["data"]["degradation"] == {"name": "real-esrgan", "scale": 4}
    assert found.experiment["schedule"] | {"batch": 24, "decay": "constant"} == found.experiment["schedule"]
    assert found.experiment["stack"][2]["discriminator"]["name"] == "unet-spectral"
    assert found.experiment["optimizer"] == {"default": {"name": "adam", "lr": 1e-4, "betas": [0.9, 0.99]}}
    assert [note.path for note in found.remarks if "usm" in note.path] == ["gan_gt_usm"]
    assert "queue_size" in {note.path for note in found.notes} and not found.chosen


def test_swinir(options):
    found = imported(read(options("swinir.yml")))
    network = found.experiment["network"]
    assert network | {"name": "spandrel", "architecture": "SwinIR", "embed_dim": 60, "upscale": 2} == network
    assert found.experiment["data"]["images"] == ["div2k/HR", "flickr2k/HR"]
    assert found.experiment["data"]["workers"] == 1
    noted = {note.path: note.why for note in found.notes}
    assert noted["network_g.use_flash"] == "spandrel's SwinIR has no such keyword"
    assert noted["num_gpu"].startswith("batch = 4 is over all devices here")


def test_trainner(options):
    found = imported(read(options("trainner.yaml")))
    names = [(entry["name"], entry["weight"]) for entry in found.experiment["stack"]]
    assert names == [
        ("ms-ssim", 1),
        ("charbonnier", 0.5),
        ("perceptual", 0.03),
        ("fourier", 0.1),
        ("adversarial", 0.1),
    ]
    assert (
        found.experiment["stack"][1]["epsilon"] == 1e-6
    )  # of their default, which stands under the root as it is
    schedule = found.experiment["schedule"]
    assert (schedule["batch"], schedule["micro_batches"], schedule["clip"]) == (16, 2, 1.0)
    assert schedule["bfloat16"] and schedule["channels_last"] and not schedule["compile"]
    assert found.experiment["data"]["crop"] == 256  # lq_size × scale
    assert "protocols" not in found.experiment["validation"]
    noted = {note.path for note in found.notes}
    assert {"train.losses.3.type", "train.losses.4.criterion", "network_d.type", "network_d.dims"} <= noted
    assert "use_amp" in {note.path for note in found.remarks}
    assert found.translated["train.losses.6.criterion"] == "stack"  # its weight is 0


def test_neosr(options):
    found = imported(read(options("neosr.toml")))
    experiment = found.experiment
    assert experiment["schedule"]["clip"] == 1.0 and "schedule.clip is 1.0" in found.chosen[0]
    assert experiment["schedule"]["steps"] == 1_000_000
    assert experiment["optimizer"]["default"] == {"name": "adamw", "lr": 1e-3}
    assert experiment["stack"][-1]["objective"] == "bce"
    chain = experiment["data"]["degradation"]["of"]
    assert [part["name"] for part in chain] == [
        "one-of", "rescale", "one-of", "jpeg-differentiable", "sometimes", "rescale", "one-of", "one-of", "clip",
    ]  # fmt: skip
    assert [part["name"] for part in chain[0]["of"]] == ["blur", "blur"]  # sinc_prob = 0
    assert chain[4]["of"] == {"name": "sinc", "size": [7, 9]}  # sinc_prob2 = 1
    assert chain[2]["weights"] == [0.2, 0.8] and chain[3]["quality"] == [40, 95]
    noted = {note.path for note in found.notes}
    assert {
        "train.optim_g.type",
        "train.consistency_opt.type",
        "train.gan_opt.gan_type",
        "train.eco",
    } <= noted


# --- oracles


def test_the_chain_of_the_papers_numbers_is_the_papers_chain(options, tmp_path):
    text = changed(
        "real-esrgan.yml",
        ("l1_gt_usm: true", "l1_gt_usm: false"),
        ("percep_gt_usm: true", "percep_gt_usm: false"),
    )
    found = import_options(options("real-esrgan.yml", text))
    degradation = config.build(DEGRADATIONS, found.experiment["data"]["degradation"], "", "degradation")
    assert degradation.of[1:] == DEGRADATIONS["real-esrgan"](scale=4).chain.of[1:]
    assert type(degradation.of[0]).__name__ == "Sharpen" and not degradation.of[0].target


def test_a_chain_of_other_numbers_degrades(options, tmp_path):
    (tmp_path / "out.toml").write_text(import_options(options("neosr.toml")).text())
    degradation = build_degradation(load(str(tmp_path / "out.toml")))
    clean = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    degraded = degradation(clean, [(0, 0), (0, 1)]).image
    assert degradation.scale == 4 and degraded.shape == (2, 3, 16, 16)
    assert degraded.min() >= 0 and degraded.max() <= 1


@pytest.mark.parametrize(
    ("milestone", "steps"), [(1, 3), (200_000, 300_000), (7, 49), (123_457, 1_000_003), (999_999, 1_000_000)]
)
def test_the_rate_falls_at_the_milestone_itself(milestone, steps):
    schedule = Schedule(steps=steps, decay="step", milestones=(share_of(milestone, steps),), factor=0.5)
    assert [rate(schedule, step) for step in (milestone - 1, milestone)] == [1.0, 0.5]


def test_a_cosine_without_warm_up_is_basicsrs(options):
    found = made(options("swinir.yml"))["schedule"]
    schedule = Schedule(**found)
    for step in (0, 1, 250_000, 499_999):
        # CosineAnnealingRestartLR of one period with weight 1 and floor 0
        assert rate(schedule, step) == pytest.approx(
            0.5 * (1 + math.cos(math.pi * step / 500_000)), abs=1e-12
        )


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("{type: L1Loss, loss_weight: 0.3}", lambda r, c: 0.3 * (r - c).abs().mean()),
        ("{type: MSELoss, loss_weight: 2}", lambda r, c: 2 * (r - c).square().mean()),
        ("{type: CharbonnierLoss, eps: 1e-4}", lambda r, c: ((r - c).square() + 1e-4).sqrt().mean()),
        ("{type: CharbonnierLoss}", lambda r, c: ((r - c).square() + 1e-12).sqrt().mean()),
        ("{type: PSNRLoss, loss_weight: 0.5}", lambda r, c: 0.5 * 10 * (r - c).square().mean().log10()),
        ("{type: HuberLoss}", lambda r, c: torch.nn.functional.huber_loss(r, c)),
        (
            "{type: WeightedTVLoss}",
            lambda r, c: r.diff(dim=-1).abs().mean() + r.diff(dim=-2).abs().mean(),
        ),
    ],
)  # fmt: skip
def test_losses_have_the_values_of_theirs(loss, theirs, options):
    text = changed("edsr.yml", ("{type: CharbonnierLoss, loss_weight: 0.5, reduction: sum, eps: 1e-6}", loss))
    (entry,) = made(options("edsr.yml", text))["stack"]
    weight = entry.pop("weight")
    restored, clean = torch.rand(2, 1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    ours = weight * config.build(TERMS, entry, "", "term")(restored, clean).mean()
    torch.testing.assert_close(ours, theirs(restored, clean))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_keywords_of_their_constructors(name):
    table = dict(PRESETS[name])
    checked = config.check(NETWORKS, table, name, "network")
    assert checked["architecture"] == table["architecture"]


def test_tables_name_what_is_here():
    assert {rule.name for rule in LOSS_RULES.values()} <= set(TERMS)
    assert {rule.name for rule in DISCRIMINATOR_RULES.values()} <= set(DISCRIMINATORS)
    assert {rule.name for rule in NETWORK_RULES.values()} <= set(NETWORKS)
    assert {f"{name}-x{scale}" for name in SETS.values() for scale in SCALES} <= set(protocol_names())


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("esrgan", "num_filters: 32, num_blocks: 12, use_pixel_unshuffle: true", {"name": "rrdbnet", "width": 32, "blocks": 12}),
        ("SRVGGNetCompact", "num_feat: 48, act_type: prelu, num_out_ch: 3", {"name": "spandrel", "architecture": "Compact", "num_feat": 48, "num_conv": 16}),
        ("realplksr", "dim: 48", {"architecture": "PLKSR", "variant": "RealPLKSR", "upscaling_factor": 2, "layer_norm": True}),
        ("swinir_small", "", {"architecture": "SwinIR", "embed_dim": 60, "upscale": 2}),
        ("OmniSR", "", {"architecture": "OmniSR", "up_scale": 2}),
    ],
)  # fmt: skip
def test_networks_by_their_many_names(kind, keys, expected, options):
    start, end = EDSR.index("  {type: EDSR"), EDSR.index("train:\n  optim_g")
    text = f"{EDSR[:start]}  {{type: {kind}, {keys}}}\n{EDSR[end:]}"
    found = imported(read(options("edsr.yml", text)))
    assert found.experiment["network"] | expected == found.experiment["network"]
    check(found)


def test_what_basicsr_alone_has_goes_through_the_bridge(options):
    pytest.importorskip("lmdb", reason="needs the extra basicsr")
    start, end = EDSR.index("  {type: EDSR"), EDSR.index("train:\n  optim_g")
    keys = "type: RCAN, num_in_ch: 3, num_out_ch: 3, num_group: 2, upscale: 2"
    found = imported(read(options("edsr.yml", f"{EDSR[:start]}  {{{keys}}}\n{EDSR[end:]}")))
    assert found.experiment["network"] == {
        "name": "basicsr/RCAN",
        "num_in_ch": 3,
        "num_out_ch": 3,
        "num_group": 2,
        "upscale": 2,
    }
    check(found)


# --- reading


def test_yaml_numbers_are_numbers(options):
    text = "a: 1e-4\nb: !!float 5e3\nc: 1.5e+3\nd: .5\ne: 2020-01-01\nf: 07_2\ng: -1e3\nh: e5\n"
    found = read(options("numbers.yml", text)).document
    assert found == {
        "a": 1e-4,
        "b": 5000.0,
        "c": 1500.0,
        "d": 0.5,
        "e": "2020-01-01",
        "f": 58,
        "g": -1000.0,
        "h": "e5",
    }


def test_yaml_merges_tables(options):
    found = read(options("merged.yml", "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")).document
    assert found["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("twice.yml", "train:\n  a: 1\n  a: 2\n", "'a' is given twice in the table at line 2"),
        ("broken.yml", "a: [1\nb: 2\n", "not valid YAML at line 2: expected ',' or ']', but got ':'"),
        ("broken.toml", "a = \n", "not valid TOML: Invalid value (at line 1, column 5)"),
        ("empty.yml", "\n", "expected options by name, such as network_g and train"),
        ("list.yml", "- a\n", "expected options by name, such as network_g and train"),
        ("wrong.yml", "train: 3\n", "train = 3: expected a table"),
        ("program.yml", "a: !!python/object/apply:os.system [ls]\n", "not valid YAML at line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("options.json", "{}", "expected an option file (.yml, .yaml, .toml)"),
        ("test.yml", "name: test\nnetwork_g: {type: EDSR}\n", "has no table 'train'; expected the options of a training"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_one_line(name, text, line, options):
    path = options(name, text)
    with pytest.raises(RequestError) as error:
        import_options(path)
    assert str(error.value) == f"{path}: {line}"


LEVELS = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
MERGED = "\n".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 60))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("aliases.yml", f"a0: &a0 [1, 2, 3]\n{LEVELS}\n", "more than 10000 values; expected an option file"),
        ("brackets.yml", f"a: {'[' * 3000}{']' * 3000}\n", "nested too deeply; expected at most 32 levels"),
        ("brackets.toml", f"a = {'[' * 3000}{']' * 3000}\n", "nested too deeply; expected at most 32 levels"),
        ("nested.yml", f"a: {'[' * 40}{']' * 40}\n", "nested too deeply; expected at most 32 levels"),
        ("keys.toml", f"{'.'.join('a' * 40)} = 1\n", "nested too deeply; expected at most 32 levels"),
        ("large.yml", f"a: {'x' * 2**20}\n", "more than 1024 KiB; expected an option file"),
    ],
)  # fmt: skip
def test_bombs_are_one_line(name, text, line, options):
    path = options(name, text)
    with pytest.raises(ConfigError) as error:
        read(path)
    assert str(error.value) == f"{path}: {line}"


def test_merged_tables_do_not_grow_without_end(options):
    path = options("merged.yml", f"a0: &a0 {{x: 1, y: 2}}\n{MERGED}\n")
    try:
        assert read(path).document["a59"] == {"x": 1, "y": 2}
    except ConfigError as error:  # of a PyYAML that doubles what is merged twice
        assert str(error) == f"{path}: more than 10000 values; expected an option file"


def test_leaves_are_walked_once(options, monkeypatch):
    from restoration.importing import options as module

    calls = []
    own = module.leaves
    monkeypatch.setattr(module, "leaves", lambda value, above=(): calls.append(above) or own(value, above))
    found = read(options("srresnet.yml"))
    imported(found)
    assert calls.count(()) == 1
    assert found.below("train", "optim_g") == [
        leaf for leaf in found.below() if leaf[:2] == ("train", "optim_g")
    ]


@pytest.mark.parametrize(("given", "stands"), [(96, 96), (127, 126), (95, 94)])
def test_a_crop_is_rounded_down_to_what_scale_and_network_take(given, stands, options, tmp_path):
    found = import_options(options("edsr.yml", changed("edsr.yml", ("gt_size: 96", f"gt_size: {given}"))))
    assert found.experiment["data"]["crop"] == stands
    remarks = {note.path: note.why for note in found.remarks}
    why = f"a crop of {given} pixels is no whole number of what scale and network take at a time; {stands} stands"
    assert remarks.get("datasets.train.gt_size") == (None if given == stands else why)
    assert f"crop = {stands}\n" in found.text()


@pytest.mark.parametrize(
    ("replaced", "line"),
    [
        (("gt_size: 96", "gt_size: 1"), "as an experiment, data.crop = 1: expected a multiple of 2 for network and scale"),
        (("type: EDSR", "type: SRVGGNetCompact, act_type: relu"), "as an experiment, network: Compact cannot be built with these keywords"),
        (("num_in_ch: 3", "num_in_ch: 1"), "as an experiment, network: takes 1 channel(s), but data.grey = false gives 3"),
    ],
)  # fmt: skip
def test_what_a_dry_run_would_refuse_is_refused(replaced, line, options):
    path = options("edsr.yml", changed("edsr.yml", replaced))
    with pytest.raises(ConfigError) as error:
        import_options(path)
    assert str(error.value).startswith(f"{path}: {line}") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("replaced", "line"),
    [
        (("total_iter: 300000", "total_iter: many"), "train.total_iter = 'many': expected a number"),
        (("total_iter: 300000", "total_iter: 1.5"), "train.total_iter = 1.5: expected a whole number"),
        (("  total_iter: 300000\n", ""), "train.total_iter is missing; expected a number of steps"),
        (("    dataroot_gt: div2k/HR\n", ""), "datasets.train.dataroot_gt is missing; expected the folder of clean images"),
        (("    gt_size: 96\n", ""), "datasets.train.gt_size is missing; expected the side of a crop in pixels"),
        (("dataroot_gt: div2k/HR", "dataroot_gt: div2k.lmdb"), "datasets.train.dataroot_gt = 'div2k.lmdb': LMDB is not read here; give the folder that it was made of, or make shards of that: restoration data pack"),
        (("scale: 2\n", "scale: 4\n"), "scale = 4, but network_g enlarges by 2; expected one of them"),
        (("type: EDSR", "type: EDVR"), "network_g.type = 'EDVR': it takes clips of frames, and networks here restore single images"),
        (("type: EDSR", "type: HMAA"), "network_g.type = 'HMAA': no network of that name here; a class of your own goes in by hand: name = \"basicsr/HMAA\", module = \"…\""),
        (("model_type: SRModel", "model_type: EDVRModel"), "model_type = 'EDVRModel': no experiment here trains it; expected one of single images, such as SRModel, SRGANModel, ESRGANModel or RealESRGANModel"),
        (("type: CharbonnierLoss", "type: LDLLoss"), "no loss that could be translated (train.pixel_opt); expected one at least"),
        (("type: CharbonnierLoss", "type: GANLoss"), "network_d.type = None: expected a discriminator for the GAN loss"),
        (("num_feat: 64", "num_feat: wide"), 'as an experiment, network.width = "wide": expected a whole number'),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_is_needed_and_cannot_be_translated_is_one_line(replaced, line, options):
    path = options("edsr.yml", changed("edsr.yml", replaced))
    with pytest.raises((ConfigError, RequestError)) as error:
        import_options(path)
    assert str(error.value) == f"{path}: {line}"
    assert error.value.exit_code == 2


# --- the command


@pytest.fixture
def command(capsys):
    app = typer.Typer()
    app.command("import")(import_)
    app.command("other")(data_root)  # with one command alone typer leaves its name out

    def run(*words: object) -> str:
        app(["import", *map(str, words)], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_command_writes_an_experiment(command, options, tmp_path):
    path, out = options("srresnet.yml"), tmp_path / "out.toml"
    printed = command(path, "--out", out)
    assert load(str(out)).network["name"] == "msrresnet"
    assert "options translated" in printed and printed.endswith(
        f"wrote {out}; try: restoration train {out} --dry-run\n"
    )
    assert command(path) == out.read_text()
    found = json.loads(command(path, "--json"))
    assert found["experiment"]["name"] == "SRResNet_x4" and found["translated"]["scale"] == "network.scale"
    assert {
        "path": "logger.print_freq",
        "value": 100,
        "why": "progress is shown live, and logged every 100 steps",
    } in found["not_here"]


@pytest.mark.parametrize(
    ("out", "line"),
    [
        ("there.toml", "exists already; choose another --out"),
        ("there.yml", "expected a name that ends in .toml"),
        ("nowhere/x.toml", r"nowhere/x\.toml: no such folder as .*nowhere; choose another --out"),
    ],
)
def test_the_command_writes_over_nothing(command, options, tmp_path, out, line):
    (tmp_path / Path(out).name).write_text("mine")
    with pytest.raises(RequestError, match=line):
        command(options("edsr.yml"), "--out", tmp_path / out)
    assert (tmp_path / Path(out).name).read_text() == "mine"
