"""Peers: a missing one is one line and exit code 2, and a stand-in does not outlive the import."""

import sys

import pytest

from restoration.benchmarks.peers import REMOVED, basicsr, peer, run
from restoration.errors import RequestError, RestorationError


def test_an_installed_peer_is_its_module():
    assert peer("json", "nothing") is sys.modules["json"]


def test_a_missing_peer_is_one_line():
    with pytest.raises(RequestError) as error:
        peer("no_such_peer", "such-a-peer")
    expected = (
        "peer no_such_peer: cannot be imported (No module named 'no_such_peer'); pip install such-a-peer"
    )
    assert str(error.value) == expected


def test_the_stand_in_does_not_outlive_the_import(monkeypatch, tmp_path):
    package = tmp_path / "basicsr"
    package.mkdir()
    (package / "__init__.py").write_text(f"from {REMOVED} import rgb_to_grayscale\n")
    (package / "part.py").write_text("value = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "basicsr"]:
        monkeypatch.delitem(sys.modules, name)
    assert basicsr("part").value == 7
    assert REMOVED not in sys.modules
    with pytest.raises(RequestError, match=r"^peer basicsr\.other: cannot be imported .*\[basicsr\]$"):
        basicsr("other")
    assert REMOVED not in sys.modules
    for name in ("basicsr", "basicsr.part"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("error", "code"), [(RequestError("peer x: missing"), 2), (RestorationError("differ"), 1)]
)
def test_a_comparison_that_cannot_run_ends_with_its_code(capsys, error, code):
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == f"restoration: {error}\n"
