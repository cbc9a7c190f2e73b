"""The page in headless Chromium: it opens from disk, sorts, divides, zooms, and passes axe-core."""

import shutil
import subprocess

import numpy as np
import pytest

from restoration.benchmarks.browser import Browser, chromium
from restoration.benchmarks.gallery import Gallery, Shot
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


def images(folder):
    """Write the page of twelve images by three restorers and two metrics that make a plane."""
    generator, gallery = np.random.default_rng(0), Gallery()
    values = {(name, metric): {} for name in NAMES for metric in ("psnr-y", "gmsd", "sliced-wasserstein")}
    protocol = load_protocol("photos-x4")
    for i in range(12):
        clean = picture(generator)
        sample = Sample(f"image-{i}.png", i, 12, clean, clean[..., ::4, ::4], "0", "0")
        for j, name in enumerate(NAMES):
            gallery(protocol, name, sample, clean * (1 - 0.1 * j))
            values[name, "psnr-y"][sample.name] = 25.0 + i - 2 * j + generator.normal()
            values[name, "gmsd"][sample.name] = 0.02 + 0.001 * i + 0.01 * j + 0.001 * generator.normal()
            values[name, "sliced-wasserstein"][sample.name] = 3.0 - j + 0.1 * generator.normal()
    rows = [make_row("photos-x4", *key, "c", found, 1.0, 300.0) for key, found in values.items()]
    provenance = {"date": "2026-01-01", "restorers": {NAMES[1]: {"parameters": 10}}}
    result = Result("restoration benchmark photos-x4 …", provenance, rows, compare(rows))
    return written(folder, "images", page(result, gallery))


def frames(folder):
    """Write the page of two clips of six frames."""
    generator, gallery = np.random.default_rng(1), Gallery()
    values = {(name, metric): {} for name in NAMES[:2] for metric in ("psnr-y", "flicker")}
    protocol = load_protocol("vid4")
    for i in range(12):
        clean = picture(generator)
        name = f"{'ab'[i // 6]}/{i % 6}.png"
        sample = Sample(name, i, 12, clean, clean[..., ::4, ::4], "0", "0")
        for j, restorer in enumerate(NAMES[:2]):
            gallery(protocol, restorer, sample, clean * (1 - 0.1 * j))
            values[restorer, "psnr-y"][name] = 25.0 - 2 * j + generator.normal()
            if i % 6:
                values[restorer, "flicker"][name] = 3.0 + j + 0.1 * generator.normal()
    rows = [make_row("vid4", *key, "c", found, 1.0, 300.0) for key, found in values.items()]
    records = {"vid4": {"settings": {"degraded": {"name": "frames"}}, "sha256": "0"}}
    result = Result("restoration benchmark vid4 …", {"protocols": records}, rows, compare(rows))
    return written(folder, "frames", page(result, gallery))


def conventions(folder):
    """Write the page of two restored folders' values by three conventions."""
    generator, gallery, record = np.random.default_rng(2), Gallery(), {"words": "in words", "remark": ""}
    records = {
        f"{name}: {what}; {by}": record | {"name": name, "measure": "psnr", "library": library, "by": by}
        for name, what, library, by in (
            ("matlab", "y-float,border=4", "", "ours"), ("piq", "rgb,border=0", "piq", "by piq"),
            ("kornia", "rgb,border=0,float32", "kornia", "ours"),
        )
    }  # fmt: skip
    protocol, values = load_protocol("photos-x4"), {name: {} for name in NAMES}
    for i in range(4):
        clean = picture(generator)
        for j, restorer in enumerate(NAMES):
            gallery.note(protocol, restorer, Shot(f"{i}.png", i, 4, clean, None), clean * (1 - 0.1 * j))
            values[restorer][f"{i}.png"] = 30.0 - j + generator.normal()
    rows = [
        make_row("photos-x4", name, "psnr-y", c, {k: v + 0.5 * i for k, v in found.items()})
        for name, found in values.items() for i, c in enumerate(records)
    ]  # fmt: skip
    result = Result("restoration benchmark --conventions all …", {"conventions": records}, rows)
    return written(folder, "conventions", page(result, gallery))


def alone(folder):
    """Write the page of a folder by a metric that needs nothing beside it."""
    generator, gallery, protocol = np.random.default_rng(3), Gallery(), load_protocol("photos-x4")
    for i in range(2):
        gallery.note(protocol, "mine", Shot(f"{i}.png", i, 2, None, None), picture(generator))
    row = make_row("photos-x4", "mine", "niqe", "c", {"0.png": 4.0, "1.png": 5.0})
    return written(folder, "alone", page(Result("restoration benchmark --alone mine", {}, [row]), gallery))


def written(folder, name, text):
    (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder / f"{name}.html"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return {make.__name__: make(folder) for make in (images, frames, conventions, alone)}


@pytest.fixture(scope="module")
def path(pages):
    return pages["images"]


@pytest.fixture(scope="module")
def browser(path):
    with Browser() as opened:
        yield opened


@pytest.fixture
def opened(browser, path):
    yield from shown(browser, path)


@pytest.fixture
def film(browser, pages):
    yield from shown(browser, pages["frames"])


def shown(browser, path):
    """Open a page, scroll to its pictures, and see to it that nothing went wrong until the end."""
    browser.errors.clear()
    browser.size(1280, 900)
    browser.open(path)
    browser.run("document.querySelector('.viewer').scrollIntoView()")
    browser.wait("document.querySelectorAll('.tile img').length > 0")
    yield browser
    assert browser.errors == []


def order(browser, table=0):
    table = f"document.querySelectorAll('table[data-sortable]')[{table}]"
    return browser.run(f"[...{table}.querySelectorAll('tbody th')].map(h => h.dataset.value)")


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
    parameters = "document.querySelectorAll('[data-sortable]')[1].querySelectorAll('thead button')[3].click()"
    opened.run(parameters)
    assert order(opened, 1)[0] == NAMES[1], "what has no number stands last"
    opened.run(parameters)
    assert order(opened, 1)[0] == NAMES[1]
    assert order(opened)[0] == NAMES[0], "the other table stays as it is"


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


def chosen(browser):
    return browser.run("document.querySelector('[data-role=scene]').selectedOptions[0].text")


def slid(browser, to):
    slider = "const s = document.querySelector('[data-role=frame]')"
    browser.run(f"{{{slider}; s.value = {to}; s.dispatchEvent(new Event('input'))}}")


def test_the_best_stands_on_the_right_and_the_most_different_image_is_found(opened):
    right = "document.querySelector('.tag.right').textContent"
    assert opened.run(right) == NAMES[1], "the best but for the first, which is on the left"
    scenes = set()
    for _ in range(3):
        opened.run("document.querySelector('[data-role=most]').click()")
        scenes.add(chosen(opened))
    assert len(scenes) == 3


def test_a_number_puts_that_version_on_the_right(opened):
    opened.run("document.querySelector('.stage').focus()")
    opened.press("1")
    assert opened.run("document.querySelector('.tag.right').textContent") == "degraded"
    opened.press("9")
    assert opened.run("document.querySelector('.tag.right').textContent") == "degraded"


def test_frames_have_a_slider_that_keeps_zoom_and_place_within_a_clip(film):
    assert chosen(film) == "a/0.png"
    film.run("document.querySelector('.stage').focus()")
    film.press("+")
    slid(film, 4)
    assert chosen(film) == "a/4.png"
    assert film.run("document.querySelector('[data-role=time]').textContent") == "frame 5 of 6"
    assert film.run("document.querySelector('.viewer output').textContent") == "1.5×"
    film.run(
        "{const s = document.querySelector('[data-role=scene]'); s.value = 7; s.dispatchEvent(new Event('change'))}"
    )
    assert chosen(film) == "b/1.png"
    assert film.run("document.querySelector('[data-role=frame]').value") == "1"
    assert film.run("document.querySelector('.viewer output').textContent") == "1×", "another clip, all of it"
    slid(film, 0)
    assert chosen(film) == "b/0.png"


def test_a_clip_plays_and_stops(film):
    film.run("document.querySelector('[data-role=play]').click()")
    film.wait("document.querySelector('[data-role=frame]').value > 1")
    film.run("document.querySelector('[data-role=play]').click()")
    where = film.run("document.querySelector('[data-role=frame]').value")
    assert film.run("document.querySelector('[data-role=play]').textContent") == "Play"
    assert (
        film.run(
            "new Promise(done => setTimeout(() => done(document.querySelector('[data-role=frame]').value), 400))"
        )
        == where
    )
    assert film.run("document.querySelector('.crops img').alt").startswith(chosen(film))


def test_the_profile_is_that_of_the_clip_at_hand(film):
    source = "document.querySelector('.profiles img').src"
    film.wait("document.querySelectorAll('.profiles img').length === 4")
    first = film.run(source)
    slid(film, 3)
    assert film.run(source) == first
    film.run(
        "{const s = document.querySelector('[data-role=scene]'); s.value = 6; s.dispatchEvent(new Event('change'))}"
    )
    assert film.run(source) != first


def test_a_picture_alone_has_no_divide_and_no_error_map(browser, pages):
    for opened in shown(browser, pages["alone"]):
        hidden = "['divider', 'wrong'].map(r => document.querySelector(`[data-role=${r}]`).hidden)"
        assert opened.run(hidden) == [True, True]
        assert opened.run("document.querySelectorAll('.tile').length") == 1
        assert opened.run("document.querySelector('[data-role=most]').textContent") == "worst"
        opened.run("document.querySelector('[data-role=most]').click()")
        assert chosen(opened) == "1.png"


@pytest.mark.parametrize("width, kind", [(1280, "wide"), (390, "narrow")])
def test_a_plane_is_drawn_for_the_room_there_is(browser, path, width, kind):
    browser.size(width, 900)
    browser.open(path)
    seen = "[...document.querySelectorAll('.plane svg')].filter(s => s.getBoundingClientRect().width > 0)"
    assert browser.run(f"{seen}.map(s => s.getAttribute('class'))") == [kind]
    boxes = browser.run(
        f"{seen}.flatMap(s => [...s.querySelectorAll('text')]).map(t => t.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    assert len(boxes) > len(NAMES)
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and right <= width
        for other in boxes[:i]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, "two texts of the picture overlap"


@pytest.mark.parametrize("name", ["images", "frames", "conventions", "alone"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_in_light_and_dark(browser, pages, name, width, scheme, tmp_path):
    browser.errors.clear()
    browser.size(width, 1000, scheme)
    browser.open(pages[name])
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


@pytest.mark.parametrize("name", ["images", "frames", "conventions", "alone"])
@pytest.mark.parametrize("width, scheme", [(1280, "light"), (360, "dark")])
def test_axe_finds_nothing_to_complain_about(browser, pages, axe, name, width, scheme):
    browser.size(width, 7000, scheme)
    browser.open(pages[name])
    browser.wait(
        "document.querySelectorAll('.tile img').length &&"
        " (!document.querySelector('.scatter') || document.querySelectorAll('.point').length > 0)"
    )
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.run(axe + "; true")
    found = browser.run(
        "axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html).join(' ')}`))"
    )
    assert found == []
