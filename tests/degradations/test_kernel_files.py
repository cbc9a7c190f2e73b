"""Kernels of files: those of NumPy and of both formats of MATLAB, and the photographs that were made with them."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.degradations.filtering import filtered
from restoration.degradations.kernel_files import KernelFiles, read_kernels

KEYS = [(0, sample) for sample in range(1000)]


@pytest.fixture
def some() -> np.ndarray:
    return np.random.default_rng(0).random((3, 5, 5))


def test_numpys_arrays_hold_one_kernel_or_several(tmp_path, some):
    np.save(tmp_path / "b.npy", some)
    np.save(tmp_path / "a.npy", some[0] * 7)
    expected = some / some.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(np.stack(read_kernels(tmp_path / "b.npy")), expected)
    np.testing.assert_allclose(np.stack(read_kernels(tmp_path)), expected[[0, 0, 1, 2]])


def test_matlabs_cells_and_stacks_are_read(tmp_path, some):
    io = pytest.importorskip("scipy.io")
    cells = np.empty((1, 3), dtype=object)
    cells[0, :] = [some[0], some[1, :3, :3], some[2]]
    io.savemat(tmp_path / "cells.mat", {"kernels": cells})
    first, second, third = read_kernels(tmp_path / "cells.mat")
    np.testing.assert_allclose(first, some[0] / some[0].sum())
    np.testing.assert_allclose(second, some[1, :3, :3] / some[1, :3, :3].sum())
    np.testing.assert_allclose(third, some[2] / some[2].sum())
    io.savemat(tmp_path / "stack.mat", {"k": some.transpose(1, 2, 0)})
    np.testing.assert_allclose(
        np.stack(read_kernels(tmp_path / "stack.mat")), some / some.sum((1, 2), keepdims=True)
    )


def test_version_7_3_is_read_the_right_way_round(tmp_path, some):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        for i, kernel in enumerate(some):
            file[f"#refs#/{i}"] = kernel.T  # MATLAB writes columns first
        file["kernels"] = np.array([[file[f"#refs#/{i}"].ref] for i in range(3)], dtype=h5py.ref_dtype)
    with (tmp_path / "new.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116))
    np.testing.assert_allclose(
        np.stack(read_kernels(tmp_path / "new.mat")), some / some.sum((1, 2), keepdims=True)
    )


def test_kernels_that_are_not_square_or_odd_are_set_amid_zeros(tmp_path):
    np.save(tmp_path / "even.npy", np.ones((2, 2)))
    np.save(tmp_path / "wide.npy", np.ones((1, 3)))
    even, wide = read_kernels(tmp_path)
    assert even.tolist() == [[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]]
    np.testing.assert_allclose(wide, np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]]) / 3)


def test_published_files_hold_their_kernels(data_root):
    pytest.importorskip("h5py")
    pytest.importorskip("scipy.io")
    folder = data_root / "kernels"
    if not folder.is_dir():
        pytest.skip("the data folder has no kernels")
    # Levin et al. (2009): eight of 13 to 27 pixels; USRNet's twelve; the bicubic kernels of scales 2, 3 and 4
    sizes = [len(kernel) for kernel in read_kernels(folder / "Levin09.mat")]
    assert sizes == [19, 17, 15, 27, 13, 21, 23, 23]
    twelve, bicubic = (
        read_kernels(folder / "kernels_12.mat"),
        read_kernels(folder / "kernels_bicubicx234.mat"),
    )
    assert [len(twelve), len(bicubic)] == [12, 3]
    assert all(kernel.shape == (25, 25) for kernel in twelve + bicubic)
    assert all(kernel.sum() == pytest.approx(1) for kernel in twelve + bicubic)
    assert min(kernel.min() for kernel in twelve) >= 0 > max(kernel.min() for kernel in bicubic)
    assert KernelFiles(path=str(folder)).scale == 1 and len(read_kernels(folder)) == 23


@pytest.mark.parametrize("place", [2, 3, 6])
def test_levins_photographs_are_blurred_as_the_kernels_stand(data_root, place):
    pytest.importorskip("h5py")
    folder = data_root / "deblur" / "levin"
    if not folder.is_dir():
        pytest.skip("the data folder has no photographs of Levin et al.")

    def photograph(name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(Image.open(folder / name).convert("L"), np.float32) / 255)[
            None, None
        ]

    kernel = torch.from_numpy(read_kernels(data_root / "kernels" / "Levin09.mat")[place])[None]
    sharp, blurred = photograph("gt/im2.png"), photograph(f"im2_kernel{place + 1}_img.png")

    def likeness(kernel: torch.Tensor) -> float:
        """Return the PSNR of the best shift by up to 3 pixels."""
        made = filtered(sharp, kernel)
        shifts = [(y, x) for y in range(-3, 4) for x in range(-3, 4)]
        error = min(
            (made.roll(shift, (2, 3)) - blurred)[..., 40:-40, 40:-40].square().mean() for shift in shifts
        )
        return -10 * error.log10().item()

    as_it_stands, turned, mirrored = likeness(kernel), likeness(kernel.flip(1, 2)), likeness(kernel.mT)
    assert as_it_stands > 40 and max(turned, mirrored) < 36


def test_kernels_are_drawn_alike(tmp_path, some):
    np.save(tmp_path / "k.npy", some)
    drawn = np.array(KernelFiles(path=str(tmp_path))(torch.zeros(1000, 1, 1, 1), KEYS).draw["kernel"])
    counts = np.bincount(drawn, minlength=3)
    assert len(counts) == 3 and np.abs(counts / 1000 - 1 / 3).max() < 4 * (2 / 9 / 1000) ** 0.5


def test_turned_kernels_are_those_of_the_draw(tmp_path, some):
    np.save(tmp_path / "k.npy", some)
    of = KernelFiles(path=str(tmp_path), turned=True, edges="zero")
    pixel = torch.zeros(40, 1, 5, 5, dtype=torch.float64)
    pixel[..., 2, 2] = 1
    made = of(pixel, KEYS[:40])
    assert set(made.draw["turn"]) == set(range(8))
    for image, kernel, turn in zip(made.image, made.draw["kernel"], made.draw["turn"], strict=True):
        expected = np.rot90(some[kernel] / some[kernel].sum(), turn % 4)
        expected = expected.T if turn >= 4 else expected
        np.testing.assert_allclose(image[0], expected[::-1, ::-1], atol=1e-15)


def test_files_without_kernels_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "absent.mat", tmp_path / "empty"):
        with pytest.raises(ValueError) as error:
            KernelFiles(path=str(path))
        assert str(error.value) == f'path = "{path}"; expected a .mat or .npy file, or a folder of them'
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=rf'^path = "{broken}"; cannot be read as kernels \(.+\)$'):
        KernelFiles(path=str(broken))
    np.save(tmp_path / "line.npy", np.ones(4))
    np.save(tmp_path / "black.npy", np.zeros((3, 3)))
    for name, shape in (("line", "(4,)"), ("black", "(3, 3)")):
        with pytest.raises(ValueError) as error:
            KernelFiles(path=str(tmp_path / f"{name}.npy"))
        assert str(error.value) == (
            f'path = "{tmp_path / name}.npy"; expected kernels, got an array of shape {shape} or of sum 0'
        )


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    for module, header in (("h5py", b"MATLAB 7.3 MAT-file"), ("scipy.io", b"MATLAB 5.0 MAT-file")):
        file = tmp_path / f"{module}.mat"
        file.write_bytes(header.ljust(256))
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ValueError, match=r'pip install "restoration-suite\[matlab\]"') as error:
            read_kernels(file)
        assert "\n" not in str(error.value)


def written(path, kind):
    """Write a file that holds no kernels."""
    io = pytest.importorskip("scipy.io")
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("kernel = 3\n" * 40)
        case "words" if path.suffix == ".npy":
            np.save(path, np.array([["a", "b"], ["c", "d"]]))
        case "words":
            io.savemat(path, {"name": "a kernel"})
        case "complex" if path.suffix == ".npy":
            np.save(path, np.ones((3, 3), complex))
        case "complex":
            io.savemat(path, {"k": np.ones((3, 3), complex) * 1j})
        case "cut":
            np.save(path, np.ones((5, 5))) if path.suffix == ".npy" else io.savemat(
                path, {"k": np.ones((5, 5))}
            )
            path.write_bytes(path.read_bytes()[:150])
        case "none" if path.suffix == ".npy":
            np.save(path, np.ones((0, 5, 5)))
        case "none":
            io.savemat(path, {})


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
@pytest.mark.parametrize("kind", ["empty", "text", "words", "complex", "cut", "none"])
def test_files_of_something_else_are_refused_in_one_line_with_their_name(tmp_path, kind, suffix):
    path = tmp_path / f"{kind}{suffix}"
    written(path, kind)
    with pytest.raises(ValueError) as error:
        KernelFiles(path=str(path))
    assert str(error.value).startswith(f'path = "{path}"; ') and "\n" not in str(error.value)


def test_stacks_in_matlabs_order_are_refused_in_numpys_files(tmp_path):
    path = tmp_path / "k.npy"
    np.save(path, np.ones((3, 3, 8)))
    with pytest.raises(ValueError) as error:
        KernelFiles(path=str(path))
    assert str(error.value) == (
        f'path = "{path}"; holds an array of shape (3, 3, 8); expected (kernels, size, size), '
        "as NumPy has it, not MATLAB's (size, size, kernels)"
    )


def test_kernels_wider_than_any_are_refused(tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((1, 5000), np.float32))
    with pytest.raises(
        ValueError, match=r"holds an array of shape \(1, 5000\); expected kernels below 4096$"
    ):
        KernelFiles(path=str(tmp_path))
