"""The emulator detects planted races in some order of threads, and overruns with AddressSanitizer."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from tests.cuda_emulation.build import build, emulated_kernels

N = 128
IN = np.arange(N) ** 2 % 97 + 1
ORDERS = ("forward", "reverse", "random")


def run(kernel: str, order: str = "forward", sanitize: str = "") -> subprocess.CompletedProcess[str]:
    program = build(sanitize, target="planted_faults") / "planted_faults"
    return subprocess.run([program, kernel, order], capture_output=True, text=True)


def output(kernel: str, order: str) -> np.ndarray:
    done = run(kernel, order)
    assert done.returncode == 0, done.stdout + done.stderr
    return np.array(done.stdout.split(), int)


@pytest.mark.parametrize("order", ORDERS)
def test_right_kernels_give_right_results(order):
    np.testing.assert_array_equal(output("reverse", order), IN.reshape(2, 64)[:, ::-1].ravel())
    np.testing.assert_array_equal(output("block_sum", order), np.repeat(IN.reshape(2, 64).sum(axis=1), 64))


@pytest.mark.parametrize("fault", ["reverse_without_barrier", "left", "right"])
def test_a_missing_barrier_is_detected_in_some_order(fault):
    blocks = IN.reshape(2, 64)
    right = {
        "reverse_without_barrier": blocks[:, ::-1],
        "left": np.pad(blocks, ((0, 0), (1, 0)))[:, :-1],
        "right": np.pad(blocks, ((0, 0), (0, 1)))[:, 1:],
    }[fault].ravel()
    assert any((output(fault, order) != right).any() for order in ORDERS)


@pytest.mark.parametrize("order", ORDERS)
def test_threads_at_different_barriers_are_detected(order):
    done = run("divergent", order)
    assert done.returncode == 1
    assert "different barriers" in done.stdout


@pytest.mark.parametrize(("fault", "where"), [("overrun", "global-buffer-overflow"), ("global_overrun", "heap-buffer")])
def test_address_sanitizer_detects_an_overrun(fault, where):
    done = run(fault, sanitize="address")
    assert done.returncode != 0
    assert where in done.stderr
    assert "planted_faults.cpp" in done.stderr
    assert run("block_sum", sanitize="address").returncode == 0


@pytest.mark.parametrize("order", ["reverse", "random"])
def test_the_order_of_threads_changes_nothing(order):
    from tests.cuda_emulation.backend import Moments

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 21)).astype(np.float16)

    def sums() -> list[bytes]:
        moments = Moments([21], [], transform="unit_centred", precision="fp32")
        moments.update([rows])
        state = moments.get_state(complete=True)
        return [state[name][0].tobytes() for name in ("products", "weighted", "norms")]

    forward = sums()
    emulated_kernels().set_order(order, 7)
    try:
        assert sums() == forward
    finally:
        emulated_kernels().set_order("forward", 0)
