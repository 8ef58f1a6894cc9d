"""The doctor of the environment: what is broken is named, what is absent is no failure, and nothing is downloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conceptprobe.cli.app import app
from conceptprobe.doctor import devices, environment, packages, places
from conceptprobe.doctor.environment import examine
from conceptprobe.doctor.examined import Check, Examined
from conceptprobe.kernels import attention as kernels
from hub_server import Hub, answers, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.environ", {**os.environ})  # --offline writes into it
    answers(Hub(url="http://127.0.0.1:9"), tmp_path / "home", monkeypatch)


def by_name(checks: list[Check] | tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONCEPTPROBE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return examine(offline=True, hub_cache=tmp_path_factory.mktemp("hub"))


def test_this_environment_is_examined_whole(examined: Examined) -> None:
    assert {check.part for check in examined.checks} == {
        "packages", "torchvision", "devices", "attention", "caches", "hub",
    }  # fmt: skip
    found = by_name(examined.checks)
    assert found["python"].state == found["torch"].state == found["cpu"].state == found["sdpa on cpu"].state == "ok"
    assert found["math on cpu"].state == "ok"
    assert found["memory-efficient on cpu"].found == "made for CUDA"
    assert "offline" in found["reachable"].found
    assert examined.safe
    assert examined.verdict.startswith("safe to use")


def test_one_unsafe_thing_is_enough_and_warnings_are_not(examined: Examined) -> None:
    warned = Examined((Check("a", "b", "warning", "slow"), Check("a", "c", "note", "absent")))
    assert (warned.safe, warned.verdict) == (True, "safe to use, with 1 warning")
    broken = Examined((*warned.checks, Check("a", "d", "unsafe", "broken")))
    assert (broken.safe, broken.verdict) == (False, "not safe to use: d: broken")


def test_a_part_that_cannot_be_examined_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Check]:
        raise RuntimeError("torch has no attribute x\nand more")

    (check,) = environment._looked("devices", broken)
    assert (check.state, check.found) == ("unsafe", "cannot be examined: torch has no attribute x")


# --- packages ---


def declares(monkeypatch: pytest.MonkeyPatch, *requirements: str, python: str = ">=3.11") -> None:
    from email.message import Message

    about = Message()
    about["Requires-Python"] = python
    for line in requirements:
        about["Requires-Dist"] = line
    monkeypatch.setattr(packages.metadata, "metadata", lambda name: about)


def test_versions_are_held_to_what_the_project_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    declares(
        monkeypatch, "numpy>=1", "pydantic<0.1", "no-such-package>=2", "pytest; extra == 'test'",
        "pywin32; sys_platform == 'none'", "torch>=1",
    )  # fmt: skip
    found = by_name(packages.packages())
    assert [found[name].state for name in ("python", "numpy", "torch", "pydantic", "no-such-package")] == [
        "ok", "ok", "ok", "unsafe", "unsafe",
    ]  # fmt: skip
    assert "outside the range that was tested, <0.1" in found["pydantic"].found
    assert found["no-such-package"].hint == "pip install 'no-such-package>=2'"
    assert not {"pytest", "pywin32"} & set(found)


def test_another_python_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    declares(monkeypatch, python=">=3.99")
    assert "and >=3.99 is needed" in by_name(packages.packages())["python"].found
    assert by_name(packages.packages())["python"].state == "unsafe"


def test_what_is_optional_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "OPTIONAL", {"no-such-package": "needed by --quantize"})
    check = by_name(packages.packages())["no-such-package"]
    assert (check.state, check.found) == ("note", "not installed; needed by --quantize")


BROKEN = {
    "no operators": "raise RuntimeError('operator torchvision::nms does not exist')",
    "half a package": "",
}


def put_torchvision(folder: Path, source: str, needs: str = "") -> None:
    (folder / "torchvision").mkdir(parents=True)
    (folder / "torchvision" / "__init__.py").write_text(source)
    if needs:
        about = folder / "torchvision-0.99.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\nRequires-Dist: {needs}\n"
        )


@pytest.mark.parametrize("kind", BROKEN)
def test_a_torchvision_that_cannot_be_used_is_found_without_being_met(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_torchvision(tmp_path, BROKEN[kind])
    monkeypatch.syspath_prepend(str(tmp_path))
    (check,) = packages.pictures()
    assert check.state == "unsafe"
    assert "no model of transformers can be loaded" in check.found
    assert "nms" in check.found
    assert check.hint.startswith("pip uninstall torchvision")
    assert "torchvision" not in sys.modules


def test_a_torchvision_for_another_torch_is_told_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_torchvision(tmp_path, "", needs="torch==1.2.3")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(packages, "_broken", lambda: "")
    (check,) = packages.pictures()
    assert "0.99.0 was built for torch ==1.2.3, not 2." in check.found
    assert check.state == "unsafe"


def test_a_torchvision_that_works_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operators = (
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "library.define('nms(Tensor boxes, Tensor scores, float threshold) -> Tensor')\n"
        "library.impl('nms', lambda boxes, scores, threshold: scores.argsort(), 'CPU')\n"
    )
    put_torchvision(tmp_path, operators, needs="torch>=2")
    monkeypatch.syspath_prepend(str(tmp_path))
    (check,) = packages.pictures()
    assert check.state == "ok", check.found


def test_the_command_ends_with_1_and_the_reason_and_no_traceback(tmp_path: Path) -> None:
    """A real process beside a torchvision that breaks transformers wherever it is imported."""
    put_torchvision(tmp_path, BROKEN["no operators"])
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "conceptprobe", "doctor", "--offline"],
        env={**os.environ, "PYTHONPATH": paths, "CONCEPTPROBE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "not safe to use: torchvision: " in done.stdout
    assert "operator torchvision::nms does not exist" in done.stdout
    assert "pip uninstall torchvision" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


# --- devices and kernels ---


def test_arithmetic_that_is_wrong_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    said, wrong = devices._arithmetic("cpu")
    assert not wrong
    assert said == "multiplies in float32, bfloat16, float16, float64"
    monkeypatch.setattr(devices, "LIMITS", {"float32": 1e-12})
    assert by_name(devices.devices())["cpu"].state == "unsafe"


def test_fused_attention_that_is_wrong_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def twice(q, k, v, attn_mask=None):
        return 2 * devices._plain(q, k, v, attn_mask)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", twice)
    check = devices._fused("cpu")
    assert (check.state, check.hint) == ("unsafe", "--attn eager")


def test_a_backend_that_cannot_be_used_says_why() -> None:
    error, why = devices._try_backend("CUDNN_ATTENTION", "cpu", "float32", False)
    assert error is None
    assert why
    error, why = devices._try_backend("MATH", "cpu", "float32", True)
    assert why == ""
    assert error is not None
    assert error < devices.LIMITS["float32"]


def test_a_kernel_whose_package_is_not_here_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PACKAGES", {"flash_attention_9": ("no_such_module", "flash-attn-9")})
    assert "flash-attn-9 is not installed" in devices._package("flash_attention_9").found
    assert set(kernels.PACKAGES) == {"flash_attention_2", "flash_attention_3"}


# --- places and the hub ---


def test_nothing_is_created_by_looking(tmp_path: Path) -> None:
    checks = by_name(places.caches(tmp_path / "hub" / "deep"))
    assert {check.state for check in checks.values()} <= {"ok", "warning"}
    assert not (tmp_path / "hub").exists()
    assert not (tmp_path / "cache").exists()


def test_the_size_of_a_cache_counts_a_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(2_000))
    (tmp_path / "link").symlink_to(tmp_path / "blob")
    assert places._bytes(tmp_path) == 2_000


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is root may write everywhere, so the disk refuses instead."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", read_only)
    checks = by_name(places.caches(tmp_path))
    assert checks["activations"].state == "unsafe"
    assert "Read-only file system" in checks["activations"].found
    assert "CONCEPTPROBE_CACHE" in checks["activations"].hint
    assert checks["hub downloads"].state == "warning"
    assert "--cache-dir" in checks["hub downloads"].hint


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LITTLE", 10**18)
    assert {check.state for check in places.caches(tmp_path)} == {"warning"}


def test_a_hub_that_answers_and_one_that_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = by_name(places.hub())["reachable"]
    assert (silent.state, "does not answer" in silent.found) == ("warning", True)
    with serving() as hub:
        answers(hub, tmp_path / "home", monkeypatch)
        assert by_name(places.hub())["reachable"].found == f"{hub.url} answers with status 404"
        hub.models["org/name"] = {}
        assert by_name(places.hub())["reachable"] == Check("hub", "reachable", "ok", hub.url)
        hub.asked.clear()
        assert by_name(places.hub(offline=True))["reachable"].state == "note"
        assert hub.asked == []


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    checks = places.hub(offline=True)
    assert by_name(checks)["token"].found == "there is one"
    assert "secret" not in repr(checks)


# --- the command ---


def invoke(monkeypatch: pytest.MonkeyPatch, *checks: Check, arguments: tuple[str, ...] = ()) -> tuple[int, str]:
    monkeypatch.setattr(environment, "examine", lambda **about: Examined(checks))
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code, done.stdout


FINE = (
    Check("packages", "torch", "ok", "2.13.0"),
    Check("packages", "numpy", "ok", "2.4"),
    Check("hub", "token", "ok", "none"),
)


def test_exit_codes_and_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown = invoke(monkeypatch, *FINE, Check("hub", "reachable", "warning", "no answer", "go on"))
    assert code == 0
    assert "safe to use, with 1 warning" in shown
    assert "torch 2.13.0, numpy 2.4" in shown
    assert "no answer (go on)" in shown
    code, shown = invoke(monkeypatch, *FINE, Check("devices", "cpu", "unsafe", "cannot add"))
    assert code == 1
    assert "not safe to use: cpu: cannot add" in shown


def test_json_holds_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown = invoke(monkeypatch, *FINE, Check("devices", "cpu", "unsafe", "cannot add"), arguments=("--json",))
    report = json.loads(shown)
    assert code == 1
    assert (report["safe"], report["reasons"]) == (False, ["cpu: cannot add"])
    assert [check["name"] for check in report["checks"]] == ["torch", "numpy", "token", "cpu"]
    assert set(report["checks"][0]) == {"part", "name", "state", "found", "hint"}
