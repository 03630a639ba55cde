"""The check of a GPU, on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Checker
from benchmarks.wheels import needed, pinned
from tests.conftest import ROOT


def gpu_check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_fails_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in (([], 1), (["--if-any"], 0)):
        monkeypatch.setattr(sys, "argv", ["gpu", *arguments])
        with pytest.raises(SystemExit) as ended:
            gpu.main()
        assert ended.value.code == code
        assert capsys.readouterr().out.count("\n") == 1


def test_a_failure_is_a_line_and_the_rest_continues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(checker: Checker) -> None:
        checker.at_most("difference", 0.5, 0.1)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def fine(checker: Checker) -> None:
        checker.say("files", "all there", True)

    monkeypatch.setattr(gpu, "STEPS", {"broken": broken, "fine": fine})
    assert not gpu.run(Checker("cpu", tmp_path, short=True), ["broken", "fine"])
    assert "1 passed, 2 failed" in capsys.readouterr().out
    checks = json.loads((tmp_path / "checks.json").read_text())["checks"]
    found = [(check["step"], check["passed"]) for check in checks if check["passed"] is not None]
    assert found == [("broken", False), ("broken", False), ("fine", True)]


def test_the_wheels_that_a_machine_with_torch_lacks() -> None:
    names = needed(["sweep"], ["torch", "torchvision", "pytorch-lightning", "torchmetrics"])
    assert {"hydra-core", "albumentations", "opencv-python-headless", "joblib"} <= set(names)
    assert not {"torch", "numpy", "facekp", "dlib-bin", "nvidia-cublas"} & set(names)
    assert pinned(["hydra-core"]).startswith("hydra-core==")
    assert "--hash=sha256:" in pinned(["hydra-core"])


@pytest.mark.long
def test_all_of_it_on_the_cpu(tmp_path: Path) -> None:
    done = gpu_check("--device", "cpu", "--short", "--output", str(tmp_path / "check"))
    assert done.returncode == 0, done.stdout
    content = json.loads((tmp_path / "check/checks.json").read_text())
    assert {check["step"] for check in content["checks"]} == set(gpu.STEPS)
    assert all(check["passed"] is not False for check in content["checks"])
