"""BasicSR behind the bridge: nothing stays in ``sys.modules``, refused modules never run, registry entries are parts."""

import importlib
import json
import re
import sys
import threading
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file

from restoration import bridge, config, listing
from restoration.bridge.network import BridgedNetwork
from restoration.bridge.registry import part
from restoration.errors import ConfigError, RequestError, WeightsError
from restoration.experiment import load
from restoration.image import write_image
from restoration.losses import TERMS
from restoration.networks import NETWORKS
from restoration.networks.edsr import Edsr
from restoration.runs import build_run, run
from restoration.weights import load as load_weights

REGISTRY = """
class Registry:
    def __init__(self): self.entries = {}
    def register(self, suffix=None):
        return lambda cls: self.entries.setdefault(cls.__name__, cls)
    def __iter__(self): return iter(self.entries.items())
ARCH_REGISTRY, LOSS_REGISTRY = Registry(), Registry()
"""
PACKAGE = {
    "__init__.py": f"from {bridge.REMOVED} import rgb_to_grayscale\nimport basicsr.archs\nwhole = True\n",
    "archs/__init__.py": "import importlib\nfor name in ('tiny', 'stylegan2'):\n"
    "    importlib.import_module(f'basicsr.archs.{name}_arch')\n",
    "archs/tiny_arch.py": "from torch import nn\nfrom basicsr.utils.registry import ARCH_REGISTRY\n"
    "@ARCH_REGISTRY.register()\nclass Tiny(nn.Conv2d):\n"
    "    def __init__(self, num_in_ch=3, width=1):\n        super().__init__(num_in_ch, 3, width)\n",
    "archs/stylegan2_arch.py": "raise AssertionError('run')\n",
    "ops/__init__.py": "",
    "ops/fused_act/__init__.py": "raise AssertionError('run')\n",
    "losses/__init__.py": "raise AssertionError('run')\n",
    "utils/__init__.py": "",
    "utils/registry.py": REGISTRY,
}


def installed() -> bool:
    try:
        return bool(version("basicsr"))
    except PackageNotFoundError:
        return False


real = pytest.mark.skipif(not installed(), reason="needs the extra basicsr")
# the table of names is `restoration.config`'s: a name with a slash has to lead here


def of_basicsr() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "basicsr"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is laid out as BasicSR is, breaks as it breaks, and says when something of it runs."""
    for name in of_basicsr():
        monkeypatch.delitem(sys.modules, name)
    for name, text in PACKAGE.items():
        file = tmp_path / "basicsr" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in of_basicsr():
        sys.modules.pop(name)


# --- the shim


def test_parts_run_no_parent_and_leave_nothing(package):
    with bridge.parts("basicsr.archs.tiny_arch"):
        module = importlib.import_module("basicsr.archs.tiny_arch")
        assert not hasattr(sys.modules["basicsr"], "whole")
    assert module.Tiny().kernel_size == (1, 1)
    assert of_basicsr() == [] and bridge.REMOVED not in sys.modules


def test_what_was_imported_once_is_the_same_again(package):
    found = []
    for _ in range(2):
        with bridge.parts("basicsr.archs.tiny_arch"):
            found.append(importlib.import_module("basicsr.archs.tiny_arch").Tiny)
    assert found[0] is found[1]


def test_the_whole_package_runs_but_for_what_is_refused(package):
    with bridge.whole():
        assert importlib.import_module("basicsr").whole
    assert of_basicsr() == [] and bridge.REMOVED not in sys.modules


def test_a_later_import_does_what_it_would_have_done(package):
    for way in (bridge.parts, bridge.whole):
        with way("basicsr.archs.tiny_arch"):
            importlib.import_module("basicsr.archs.tiny_arch")
        with pytest.raises(ModuleNotFoundError, match="functional_tensor"):
            importlib.import_module("basicsr")
        for name in of_basicsr():
            sys.modules.pop(name)
    (package / "basicsr" / "__init__.py").write_text("import basicsr.archs.tiny_arch\n")
    (package / "basicsr" / "archs" / "__init__.py").write_text("own = True\n")
    importlib.invalidate_caches()
    assert importlib.import_module("basicsr").archs.own


def test_what_the_program_has_imported_is_used(package):
    (package / "basicsr" / "__init__.py").write_text("")
    (package / "basicsr" / "archs" / "__init__.py").write_text("")
    theirs = importlib.import_module("basicsr.archs.tiny_arch")
    with bridge.parts("basicsr.archs.tiny_arch"):
        assert importlib.import_module("basicsr.archs.tiny_arch") is theirs
    assert sys.modules["basicsr.archs.tiny_arch"] is theirs
    assert not any(isinstance(sys.modules[name], bridge.Refused) for name in of_basicsr())


def test_an_import_that_fails_leaves_nothing(package):
    with pytest.raises(ModuleNotFoundError), bridge.whole():
        importlib.import_module("basicsr.archs.none_arch")
    assert of_basicsr() == [] and bridge.REMOVED not in sys.modules


def test_a_refused_module_is_not_run_and_says_why(package):
    with (
        pytest.raises(
            RequestError, match=r"^basicsr\.archs\.stylegan2_arch: under NVIDIA's .* never imported here$"
        ),
        bridge.whole(),
    ):
        exec("from basicsr.archs.stylegan2_arch import StyleGAN2Generator")
    assert of_basicsr() == []


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("archs.stylegan2_arch", "NVIDIA"),
        ("archs.stylegan2_bilinear_arch", "NVIDIA"),
        ("models.stylegan2_model", "NVIDIA"),
        ("ops.upfirdn2d", "NVIDIA"),
        ("ops.fused_act.fused_act", "NVIDIA"),
        ("archs.dfdnet_arch", "CC BY-NC-SA"),
        ("archs.dfdnet_util", "CC BY-NC-SA"),
    ],
)
def test_modules_are_refused_by_name(module, why):
    for way in (bridge.whole, bridge.parts):
        with (
            pytest.raises(
                RequestError, match=rf"^basicsr\.{module}: under .*{why}.*; it is never imported here$"
            ),
            way(f"basicsr.{module}"),
        ):
            pass


def test_threads_take_turns(package):
    found = []

    def take() -> None:
        for way in (bridge.parts, bridge.whole):
            with way("basicsr.archs.tiny_arch"):
                found.append(importlib.import_module("basicsr.archs.tiny_arch").Tiny)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and len(set(found)) == 2  # one class for each way
    assert of_basicsr() == [] and bridge.REMOVED not in sys.modules


@pytest.mark.parametrize(
    ("python", "line"),
    [
        ((3, 12), 'network basicsr/EDSR: basicsr is not installed; pip install "restoration-suite[basicsr]"'),
        ((3, 13), "network basicsr/EDSR: basicsr cannot be installed on Python 3.13 (its build fails from 3.13 on); use Python 3.11 or 3.12"),
    ],
)  # fmt: skip
def test_what_is_not_installed_is_one_line_with_a_way_out(monkeypatch, python, line):
    monkeypatch.setattr(bridge, "location", lambda: None)
    monkeypatch.setattr(sys, "version_info", python)
    with pytest.raises(RequestError) as error:
        part("network", "basicsr/EDSR").keywords({"name": "basicsr/EDSR"})
    assert (
        str(error.value)
        == f"{line}, or translate its option file, which needs none of it: restoration import OPTIONS.yml"
    )


# --- entries of the registries


@pytest.mark.parametrize(
    ("noun", "name", "line"),
    [
        ("network", "EDVR", "basicsr/EDVR: it takes clips of frames, and networks here restore single images"),
        ("network", "StyleGAN2Generator", "basicsr/StyleGAN2Generator: it is never imported here: it is under NVIDIA's Source Code License-NC (research and evaluation only)"),
        ("network", "VGGStyleDiscriminator", 'basicsr/VGGStyleDiscriminator: it is a discriminator; use discriminator = { name = "vgg-style" }'),
        ("term", "GANLoss", 'basicsr/GANLoss: it needs a discriminator that learns; use { name = "adversarial", discriminator = … }'),
        ("term", "WeightedTVLoss", 'basicsr/WeightedTVLoss: it sees the restored image alone; use { name = "total-variation" }'),
        ("degradation", "USMSharp", "unknown degradation 'basicsr/USMSharp'; with a slash there are networks and terms basicsr/…"),
    ],
)  # fmt: skip
def test_entries_without_a_place_here_say_what_to_use(noun, name, line):
    with pytest.raises(ValueError) as error:
        part(noun, f"basicsr/{name}").keywords({})
    assert str(error.value) == line


@real
@pytest.mark.parametrize("name", ["EDSSR", "edsr"])
def test_unknown_entries_name_the_nearest(name):
    with pytest.raises(ValueError) as error:
        part("network", f"basicsr/{name}").keywords({})
    assert str(error.value) == (
        f"unknown network 'basicsr/{name}'; did you mean 'basicsr/EDSR'? A class of your own needs module, which "
        "registers it"
    )


@real
def test_keywords_are_the_constructors_with_the_types_of_their_defaults():
    found = part("network", "basicsr/EDSR").keywords({})
    assert list(found) == [
        "num_in_ch",
        "num_out_ch",
        "num_feat",
        "num_block",
        "upscale",
        "res_scale",
        "img_range",
        "rgb_mean",
        "module",
    ]
    assert found["num_in_ch"].default is found["num_in_ch"].empty
    assert found["res_scale"].annotation == int | float and found["img_range"].annotation is float
    assert "reduction" not in part("term", "basicsr/L1Loss").keywords({})


@real
@pytest.mark.parametrize(
    ("name", "keywords", "scale", "multiple"),
    [
        ("MSRResNet", {"num_feat": 4, "num_block": 1, "upscale": 3}, 3, 1),
        ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 1, "num_grow_ch": 4, "scale": 2}, 2, 2),
        ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 1, "num_grow_ch": 4, "scale": 1}, 1, 4),
        ("RIDNet", {"in_channels": 3, "mid_channels": 16, "out_channels": 3}, 1, 1),
        ("ECBSR", {"num_in_ch": 3, "num_out_ch": 3, "num_block": 1, "num_channel": 4, "with_idt": False, "act_type": "prelu", "scale": 2}, 2, 1),
        ("SwinIR", {"embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2, "upsampler": "pixelshuffledirect"}, 2, 8),
    ],
)  # fmt: skip
def test_scale_and_multiple_are_those_of_the_network(name, keywords, scale, multiple):
    network = part("network", f"basicsr/{name}")(**keywords).eval()
    assert (network.scale, network.multiple, network.channels) == (scale, multiple, 3)
    assert network.receptive_field is None
    degraded = torch.rand(1, 3, 5 * multiple, 3 * multiple)
    assert network(degraded).shape[-2:] == (5 * multiple * scale, 3 * multiple * scale)


def of_formula(name: str, tensor: torch.Tensor) -> torch.Tensor:
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(tensor.shape))
    return torch.from_numpy(np.asarray(draw / np.sqrt(draw[0].size) if draw.ndim > 1 else 0.1 * draw)).float()


@real
@pytest.mark.parametrize(
    ("name", "keywords", "size", "std", "samples"),
    [
        # of BasicSR 1.4.2's own classes, with the same weights
        ("EDSR", {"num_block": 3}, (14, 18), 0.5079916927597268, {0: 0.4781125, 3023: 0.5437268, 12095: 0.2397121}),
        ("RCAN", {"num_group": 2, "num_block": 3, "squeeze_factor": 4, "upscale": 2}, (18, 21), 0.7970492853250811, {0: 0.7059157, 566: 1.6251802, 4535: 0.5112370}),
        ("MSRResNet", {"num_block": 3}, (14, 18), 0.5642271676128505, {0: 0.2056301, 6047: 1.0166239, 12095: 0.8964178}),
    ],
)  # fmt: skip
def test_gives_the_published_output(name, keywords, size, std, samples):
    network = part("network", f"basicsr/{name}")(num_in_ch=3, num_out_ch=3, num_feat=16, **keywords).eval()
    network.load_state_dict({key: of_formula(key, tensor) for key, tensor in network.state_dict().items()})
    image = torch.from_numpy(np.random.RandomState(7).rand(1, 3, *size).astype("float32"))
    with torch.no_grad():
        flat = network(image).double().flatten()
    assert flat.std(correction=0).item() == pytest.approx(std, rel=2e-5)
    for index, value in samples.items():
        assert flat[index].item() == pytest.approx(value, abs=2e-5 * std)


@real
def test_tensors_keep_the_names_of_their_own():
    ours = Edsr(scale=2, width=8, blocks=2).eval()
    theirs = part("network", "basicsr/EDSR")(
        num_in_ch=3, num_out_ch=3, num_feat=8, num_block=2, upscale=2
    ).eval()
    assert list(theirs.state_dict()) == list(ours.state_dict())
    torch.nn.ModuleList([theirs]).load_state_dict({f"0.{k}": v for k, v in ours.state_dict().items()})
    degraded = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(theirs(degraded), ours(degraded))


@pytest.mark.parametrize("order", [("model", "tail"), ("tail", "model")])
def test_no_tensor_is_lost_where_a_child_is_called_model_too(order):
    children = {"tail": torch.nn.Conv2d(3, 3, 1), "model": torch.nn.Sequential()}
    children["model"].add_module("tail", torch.nn.Conv2d(3, 3, 3, padding=1))

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name in order:
                self.add_module(name, children[name])

        def forward(self, image):
            return self.tail(self.model(image))

    network = BridgedNetwork(Theirs(), {}, "basicsr/Theirs").eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert set(state) == {f"{name}.{kind}" for name in ("tail", "model.tail") for kind in ("weight", "bias")}
    assert state["model.tail.weight"].shape[-1] == 3 and state["tail.weight"].shape[-1] == 1
    image = torch.rand(1, 3, 8, 8)
    expected = network(image)
    for tensor in network.parameters():
        tensor.detach().zero_()
    nested = torch.nn.ModuleList([network])
    nested.load_state_dict({f"0.{name}": value for name, value in reversed(state.items())})
    assert torch.equal(network(image), expected)


@real
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("L1Loss", {"name": "l1"}),
        ("MSELoss", {"name": "l2"}),
        ("CharbonnierLoss", {"name": "charbonnier", "epsilon": 1e-6}),
    ],
)
def test_losses_give_one_number_for_each_image(name, ours):
    term = part("term", f"basicsr/{name}")(loss_weight=2.0)
    restored, clean = torch.rand(2, 3, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    expected = 2 * config.build(TERMS, ours, "", "term")(restored, clean)
    torch.testing.assert_close(term(restored, clean), expected)
    torch.testing.assert_close(term(restored[1:2], clean[1:2]), expected[1:2])


# --- in lists


@real
@pytest.mark.parametrize(
    ("family", "noun", "name"), [("networks", "network", "EDSR"), ("terms", "term", "CharbonnierLoss")]
)
def test_lists_have_one_line_for_the_bridge(family, noun, name):
    line = listing.listing(family, {})["basicsr/NAME"]
    assert line.startswith(f"BasicSR's {noun} of that name (extra basicsr): ") and name in line
    assert "EDVR" not in line and "GANLoss" not in line


def test_lists_need_no_basicsr(monkeypatch):
    monkeypatch.setattr(bridge, "location", lambda: None)
    assert (
        listing.listing("networks", {})["basicsr/NAME"] == "BasicSR's network of that name (extra basicsr)."
    )
    assert "basicsr/NAME" not in listing.listing("losses", {})
    with pytest.raises(RequestError, match=r"^show: basicsr/EDSR: basicsr (is not|cannot be) installed"):
        listing.part_texts("basicsr/EDSR")


@real
def test_an_entry_is_shown_with_its_keywords():
    (text,) = listing.part_texts("basicsr/EDSR")
    assert text.startswith("network basicsr/EDSR\n\nEDSR network structure.")
    assert "\n  num_in_ch  (required: a value)\n" in text and "\n  img_range = 255.0  (a number)\n" in text
    (text,) = listing.part_texts("basicsr/L1Loss")
    assert "\n  loss_weight = 1.0  (a number)\n" in text and "\n  balance = False  (true or false)\n" in text


@real
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("edsr", "show: unknown name 'basicsr/edsr'; did you mean 'basicsr/EDSR'?"),
        ("EDVR", "show: basicsr/EDVR: it takes clips of frames, and networks here restore single images"),
    ],
)
def test_what_cannot_be_shown_is_one_line(name, line):
    with pytest.raises(RequestError) as error:
        listing.part_texts(f"basicsr/{name}")
    assert str(error.value) == line


# --- modules of the user's own

OWN = """
import torch
from torch import nn
from basicsr.archs import build_network
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY

@ARCH_REGISTRY.register()
class MyNet(nn.Module):
    def __init__(self, width: "Width" = 4, norm: nn.Module | None = None, **others):
        super().__init__()
        self.body = nn.Conv2d(3, width, 3, 2, padding=1)
        self.tail = nn.Conv2d(width, 48, 3, padding=1)
    def forward(self, x):
        return nn.functional.pixel_shuffle(self.tail(self.body(x)), 4)

@LOSS_REGISTRY.register()
class MyLoss(nn.Module):
    def forward(self, pred, target):
        return None, (pred - target).abs().max()
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "paper_repo").mkdir()
    (tmp_path / "paper_repo" / "__init__.py").write_text("")
    (tmp_path / "paper_repo" / "my_arch.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    for name in of_basicsr():  # of tests that measure it
        monkeypatch.delitem(sys.modules, name)
    yield "paper_repo.my_arch"
    forget()


def forget() -> None:
    """Let the next import be as in another process: registering a class twice is an error of BasicSR's."""
    bridge._kept.clear()
    for name in ("paper_repo", "paper_repo.my_arch"):
        sys.modules.pop(name, None)


@real
def test_a_module_of_the_users_own_registers_unchanged(own):
    spec = {"name": "basicsr/MyNet", "module": own}
    assert list(part("network", "basicsr/MyNet").keywords(spec)) == ["width", "norm", "module"]
    network = part("network", "basicsr/MyNet")(module=own, width=8)
    assert (network.scale, network.multiple) == (2, 2)  # neither is among its keywords
    term = part("term", "basicsr/MyLoss")(module=own)
    restored, clean = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    clean[1, 0, 0, 0] = 0.5
    assert term(restored, clean).tolist() == [0, 0.5]
    assert of_basicsr() == []


@real
def test_a_module_without_the_class_names_what_it_has(own):
    with pytest.raises(
        ValueError, match=r"^module 'paper_repo\.my_arch' has no network 'MyNett'; did you mean 'MyNet'\?$"
    ):
        part("network", "basicsr/MyNett").keywords({"module": own})
    with pytest.raises(
        RequestError,
        match=r"^basicsr/MyNet: module 'paper_repo\.none' cannot be imported \(No module named 'paper_repo\.none'\)$",
    ):
        part("network", "basicsr/MyNet").keywords({"module": "paper_repo.none"})


# --- in an experiment

EXPERIMENT = """
name = "tiny"
task = "super-resolution"
[schedule]
steps = 2
batch = 2
decay = "constant"
average = 0.5
[data]
images = "{images}"
crop = 32
augment = false
degradation = {{ name = "bicubic", scale = 2 }}
[network]
{network}
[[stack]]
name = "basicsr/CharbonnierLoss"
weight = 0.5
start = 0
[[stack]]
name = "l1"
[optimizer.default]
name = "adam"
lr = 1e-3
[validation]
previews = 0
"""
EDSR = 'name = "basicsr/EDSR"\nnum_in_ch = 3\nnum_out_ch = 3\nnum_feat = 8\nnum_block = 1\nupscale = 2\nres_scale = 0.1'


@pytest.fixture
def experiment(tmp_path):
    images = tmp_path / "photos"
    images.mkdir()
    write_image(images / "0.png", torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0)))

    def written(network: str = EDSR) -> str:
        path = tmp_path / "tiny.toml"
        path.write_text(EXPERIMENT.format(images=images.as_posix(), network=network))
        return str(path)

    return written


@real
def test_an_edsr_trains_is_saved_and_loads_as_the_same_network(experiment, tmp_path):
    settings, folder = load(experiment()), tmp_path / "run"
    assert settings.network["rgb_mean"] == [0.4488, 0.4371, 0.404]
    start = build_run(settings, tmp_path / "none", torch.device("cpu")).restorer().state_dict()
    run(settings, folder, torch.device("cpu"), None, quiet=True)
    restorer = load_weights(folder / "restorer.safetensors")
    assert restorer.card.network == settings.network and restorer.scale == 2
    assert all(not torch.equal(value, start[name]) for name, value in restorer.network.state_dict().items())
    same = NETWORKS["edsr"](scale=2, width=8, blocks=1, residual_scale=0.1).eval()
    same.load_state_dict(restorer.network.state_dict())
    degraded = torch.rand(1, 3, 10, 12)
    torch.testing.assert_close(restorer(degraded), same(degraded))


def test_modules_that_a_card_would_run_are_found_wherever_they_stand(monkeypatch):
    own = {"name": "basicsr/Own", "module": "paper_repo.evil"}
    assert bridge.module_to_run(own) == "paper_repo.evil"
    assert (
        bridge.module_to_run({"name": "mean", "of": [{"name": "edsr"}, {"network": own}]})
        == "paper_repo.evil"
    )
    assert bridge.module_to_run(own | {"module": ["paper_repo.evil"]}) is None
    assert bridge.module_to_run({"name": "edsr", "module": "paper_repo.evil"}) is None
    monkeypatch.setenv("RESTORATION_MODULES", "paper_repo.evil")
    assert bridge.module_to_run(own) is None


@real
def test_a_card_whose_module_is_no_name_is_one_line(experiment, tmp_path):
    run(load(experiment()), tmp_path / "run", torch.device("cpu"), None, quiet=True)
    path = tmp_path / "run" / "restorer.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    record = json.loads(metadata["restoration"])
    record["card"]["network"]["module"] = ["os"]
    save_file(tensors, tmp_path / "list.safetensors", {"restoration": json.dumps(record)})
    with pytest.raises(WeightsError, match=r"network: module = \['os'\]: expected the name of a module"):
        load_weights(tmp_path / "list.safetensors")


@real
def test_a_network_of_the_users_own_trains_and_its_file_asks_before_it_runs(
    experiment, tmp_path, own, monkeypatch
):
    settings = load(experiment(f'name = "basicsr/MyNet"\nmodule = "{own}"'))
    run(settings, tmp_path / "run", torch.device("cpu"), None, quiet=True)
    path = tmp_path / "run" / "restorer.safetensors"
    degraded = torch.rand(1, 3, 8, 8)
    expected = load_weights(path)(degraded)  # the program itself has imported the module
    forget()
    with pytest.raises(WeightsError) as refused:
        load_weights(path)
    assert str(refused.value) == (
        f"{path}: its network is made by module '{own}', which loading would run; where you trust it: RESTORATION_MODULES={own}"
    )
    assert own not in sys.modules
    monkeypatch.setenv("RESTORATION_MODULES", f"other, {own}")
    assert torch.equal(load_weights(path)(degraded), expected)


@real
@pytest.mark.parametrize(
    ("network", "line"),
    [
        (EDSR + "\nnum_blocks = 2", "network.num_blocks: unknown key of network 'basicsr/EDSR'; did you mean 'num_block'?"),
        (EDSR.replace("num_in_ch = 3\n", ""), "network: network 'basicsr/EDSR' needs 'num_in_ch' (a value)"),
        (EDSR.replace("num_feat = 8", 'num_feat = "8"'), 'network.num_feat = "8": expected a whole number or a number'),
        (EDSR + "\nmodule = 3", "network: module = 3: expected the name of a module, such as my_package.my_arch"),
    ],
)  # fmt: skip
def test_wrong_keywords_are_one_line(experiment, network, line):
    with pytest.raises(ConfigError) as error:
        load(experiment(network))
    assert str(error.value) == line


@real
def test_the_experiment_of_the_page_checks(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "basicsr.md"
    (block,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "page.toml").write_text(block)
    settings = load(str(tmp_path / "page.toml"))
    assert settings.network["num_block"] == 16 and settings.stack[0]["eps"] == 1e-6
