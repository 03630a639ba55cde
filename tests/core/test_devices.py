"""GPUs: counted without torch, claimed by one process each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from facekp.core import devices, locks
from tests.conftest import ROOT


def test_each_process_claims_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"test-{os.getpid()}-{n}" for n in range(2)]
    monkeypatch.setattr(locks, "_held", {})
    assert [devices.claim_gpu(names) for _ in range(2)] == [0, 0]
    code = (
        "import sys, time; from facekp.core.devices import claim_gpu\n"
        "print(claim_gpu(sys.argv[1:]), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, *names], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "1\n"
    third = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "all 2 GPUs are taken" in third.stderr
    other.kill()
    other.wait()
    fourth = subprocess.Popen(
        [sys.executable, "-c", code, *names], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert fourth.stdout is not None
    assert fourth.stdout.readline() == "1\n"
    fourth.kill()
    fourth.wait()


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,7")
    assert devices.gpu_count() == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.gpu_count() == 1
