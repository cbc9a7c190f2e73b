"""The page in headless Chromium: it opens from disk, sorts, divides, zooms, and passes axe-core."""

import shutil
import subprocess

import numpy as np
import pytest

from restoration.benchmarks.browser import Browser, chromium
from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.report import page
from restoration.benchmarks.result import Result, compare, make_row
from restoration.benchmarks.samples import Sample
from restoration.image import to_float

NAMES = ("bicubic-x4", "sharper", "a-restorer-with-quite-a-long-name.safetensors")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium or Chrome on the path"),
]


def picture(generator, height=120, width=160):
    coarse = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return to_float(coarse.repeat(8, 0).repeat(8, 1))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    generator, gallery = np.random.default_rng(0), Gallery()
    values = {(name, metric): {} for name in NAMES for metric in ("psnr-y", "gmsd")}
    protocol = load_protocol("photos-x4")
    for i in range(12):
        clean = picture(generator)
        sample = Sample(f"image-{i}.png", i, 12, clean, clean[..., ::4, ::4], "0", "0")
        for j, name in enumerate(NAMES):
            gallery(protocol, name, sample, clean * (1 - 0.1 * j))
            values[name, "psnr-y"][sample.name] = 25.0 + i - 2 * j + generator.normal()
            values[name, "gmsd"][sample.name] = 0.02 + 0.001 * i + 0.01 * j + 0.001 * generator.normal()
    rows = [make_row("photos-x4", *key, "c", found, 1.0, 300.0) for key, found in values.items()]
    provenance = {"date": "2026-01-01", "restorers": {NAMES[1]: {"parameters": 10}}}
    result = Result("restoration benchmark photos-x4 …", provenance, rows, compare(rows))
    made = tmp_path_factory.mktemp("page") / "report.html"
    made.write_text(page(result, gallery), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def browser(path):
    with Browser() as opened:
        yield opened


@pytest.fixture
def opened(browser, path):
    browser.errors.clear()
    browser.size(1280, 900)
    browser.open(path)
    browser.run("document.querySelector('.viewer').scrollIntoView()")
    browser.wait("document.querySelectorAll('.tile img').length > 0")
    yield browser
    assert browser.errors == []


def order(browser):
    return browser.run("[...document.querySelectorAll('[data-sortable] tbody th')].map(h => h.dataset.value)")


def test_a_column_sorts_by_click_and_by_key_best_first(opened):
    button = "document.querySelectorAll('[data-sortable] thead button')"
    opened.run(f"{button}[2].click()")
    assert order(opened) == list(NAMES)  # gmsd: lower is better
    assert opened.run(f"{button}[2].parentElement.ariaSort") == "ascending"
    opened.run(f"{button}[2].focus()")
    opened.press("Enter")
    assert order(opened) == list(NAMES)[::-1]
    opened.run(f"{button}[1].click()")
    assert opened.run(f"{button}[1].parentElement.ariaSort") == "descending"
    assert opened.run(f"{button}[2].parentElement.ariaSort") == "none"
    parameters = "document.querySelectorAll('[data-sortable] thead button')[5].click()"
    opened.run(parameters)
    assert order(opened)[0] == NAMES[1], "what has no number stands last"
    opened.run(parameters)
    assert order(opened)[0] == NAMES[1]


def test_the_slider_divides_by_its_range_and_by_drag(opened):
    cut = "document.querySelector('.stage').style.getPropertyValue('--cut')"
    opened.run(
        "{const s = document.querySelector('[data-role=divide]'); s.value = 20; s.dispatchEvent(new Event('input'))}"
    )
    assert opened.run(cut) == "20%"
    opened.run("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    box = opened.run(
        "(({x, y, width, height}) => ({x, y, width, height}))(document.querySelector('.stage').getBoundingClientRect())"
    )
    middle = box["y"] + box["height"] / 2
    opened.mouse("mousePressed", box["x"] + box["width"] * 0.3, middle, 1)
    opened.mouse("mouseMoved", box["x"] + box["width"] * 0.7, middle, 1)
    opened.mouse("mouseReleased", box["x"] + box["width"] * 0.7, middle)
    assert float(opened.run(cut).rstrip("%")) == pytest.approx(70, abs=1)


def test_zoom_and_place_are_the_same_for_all(opened):
    opened.run("document.querySelector('.stage').focus()")
    opened.press("+")
    opened.press("ArrowRight")
    found = opened.run(
        "[...document.querySelectorAll('.pane img')].map(i => getComputedStyle(i).transform.split(',')[0])"
    )
    assert len(found) == 2 + len(NAMES) + 2
    assert set(found) == {"matrix(1.5"}
    opened.press("0")
    assert opened.run("document.querySelector('.viewer output').textContent") == "1×"
    opened.run("document.querySelector('[data-role=crops] button').click()")
    assert opened.run("parseFloat(document.querySelector('.viewer output').textContent)") >= 1


def test_error_maps_take_the_place_of_pictures_and_state_their_scale(opened):
    opened.run("document.querySelector('[data-role=errors]').click()")
    labels = opened.run("[...document.querySelectorAll('.tile img')].map(i => i.alt.includes('error map'))")
    assert labels == [False, True, True, True, False]
    assert "levels of 8 bits" in opened.run("document.querySelector('[data-role=scale]').innerText")


def test_a_mark_shows_its_name_and_opens_its_pictures(opened):
    opened.run("document.querySelector('.scatter').scrollIntoView()")
    opened.wait("document.querySelectorAll('.scatter .point').length > 0")
    assert opened.run("document.querySelectorAll('.scatter .point').length") == 12 * (len(NAMES) - 1)
    opened.run("document.querySelector('.scatter .point').focus()")
    opened.press("ArrowRight")
    name = opened.run("document.activeElement.getAttribute('aria-label')")
    assert (
        opened.run("!document.querySelector('.tip').hidden && document.querySelector('.tip').textContent")
        in name
    )
    opened.press("Enter")
    chosen = "document.querySelector('[data-role=scene]').selectedOptions[0].text"
    assert name.startswith(f"{opened.run(chosen)},")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_in_light_and_dark(browser, path, width, scheme, tmp_path):
    browser.errors.clear()
    browser.size(width, 1000, scheme)
    browser.open(path)
    tall = browser.run("document.documentElement.scrollHeight")
    browser.size(width, min(tall + 1600, 9000), scheme)  # pictures are made when they come near
    browser.wait("document.querySelectorAll('.tile img').length > 0")
    assert browser.run("document.documentElement.scrollWidth") <= width
    red = int(browser.run("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert (red < 60) == (scheme == "dark")
    (tmp_path / f"{width}-{scheme}.png").write_bytes(browser.picture())
    assert browser.errors == []


def test_the_switch_wins_over_the_system(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened.run(ground)
    choose = (
        "{{const s = document.querySelector('#theme'); s.value = '{}'; s.dispatchEvent(new Event('change'))}}"
    )
    opened.run(choose.format("dark"))
    assert opened.run(ground) != light
    opened.run(choose.format("auto"))
    assert opened.run(ground) == light


@pytest.fixture(scope="module")
def axe(request):
    if shutil.which("npm") is None:
        pytest.skip("axe-core comes from npm, which is not here")
    folder = request.config.cache.mkdir("axe-core")
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "axe-core@4"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (subprocess.SubprocessError, OSError):
            pytest.skip("npm could not install axe-core")
    return script.read_text(encoding="utf-8")


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (360, "dark")])
def test_axe_finds_nothing_to_complain_about(browser, path, axe, width, scheme):
    browser.size(width, 6000, scheme)
    browser.open(path)
    browser.wait(
        "document.querySelectorAll('.tile img').length && document.querySelectorAll('.point').length > 0"
    )
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.run(axe + "; true")
    found = browser.run(
        "axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html).join(' ')}`))"
    )
    assert found == []
