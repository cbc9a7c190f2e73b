"""The page of protocols and data sets says what their files say."""

from pathlib import Path

from restoration.benchmarks.manifest import datasets
from restoration.benchmarks.protocol import protocol_names
from restoration.benchmarks.protocol_page import page
from restoration.benchmarks.sources import SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_the_page_is_what_the_command_writes():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_protocol_data_set_and_source_is_on_it():
    text = page()
    assert all(text.count(f"\n| `{name}` |") == 1 for name in protocol_names())
    assert all(text.count(f"\n| {name} |") == 1 for name in datasets())
    assert all(f'| `"{name}"' in text for name in SOURCES)


def test_rows_tell_number_degradation_and_convention():
    rows = {
        line.split("`")[1]: line
        for line in page().splitlines()
        if line.startswith("| `") and line.count("`") > 2
    }
    assert "| 16 |" in rows["levin"] and "| 32 |" in rows["levin-32"] and "| 171 |" in rows["vid4"]
    assert "| 7 |" in rows["vid4-calendar-crop8"] and "| 155 |" in rows["vid4-crop8"]
    assert "made: reflection, up to 3 pixels aside" in rows["photos-reflection-misaligned"]
    assert "ratio 0.1 to 0.2, turned" in rows["masks-irregular-10-20"]
    assert "`video/vid4_calendar/LR_x4/lr_*.png`, without 2 + 2 frames" in rows["vid4-calendar-crop8"]
    assert "psnr-y, ssim-y `y-float,border=8,uint8-output`" in rows["vid4-calendar-crop8"]
    assert "made: jpeg" in rows["photos-jpeg-10"] and "| 6 |" in rows["photos-jpeg-10"]
    assert "noise, sigma 25, seed 0, clip False" in rows["kodak5-color-25"]
