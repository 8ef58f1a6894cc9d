"""Models of a run by their names: all that is missing at once, and nothing downloaded that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.files import size
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.finding_models import fetch_models, find_models
from conceptprobe.pipeline.plan import make_plan
from hub_server import COMMIT, Hub, answers, serving
from models.tiny_models import save_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny"), "bert", max_position_embeddings=256)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Iterator[Hub]:
    """A hub with two models, one of them gated."""
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    with serving() as served:
        answers(served, tmp_path / "home", monkeypatch)
        served.add("org/open", tiny)
        served.add("org/gated", tiny)
        served.gated.add("org/gated")
        yield served


class Lines:
    """A Reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def task(self, label: str) -> Any:
        from conceptprobe.pipeline.progress import Silent

        return Silent().task(label)


def config(*models: str, **about: Any) -> RunConfig:
    return RunConfig(concept="soul", models=models, questions=("encoded",), twins=1, **about)


def refusal(*models: str, download: bool = False, **about: Any) -> MissingError:
    with pytest.raises(MissingError) as error:
        find_models(config(*models, **about), download=download)
    assert error.value.exit_code == 3
    return error.value


def amount(hub: Hub) -> str:
    return size(sum(map(len, hub.models["org/open"].values())))


def test_two_typos_are_two_lines(hub: Hub) -> None:
    error = refusal("minilmm", "words:cooccurrence", "./nowhere", download=True)
    first, *lines = error.message.splitlines()
    assert first == "2 models are not here:"
    assert "Did you mean 'minilm'?" in lines[0]
    assert "no model folder './nowhere'" in lines[1]
    assert "conceptprobe list models" in error.hint
    assert hub.asked == []


def test_one_typo_is_said_as_ever(hub: Hub) -> None:
    error = refusal("minilmm", "words:cooccurrence")
    assert error.message == "no model named 'minilmm'. Did you mean 'minilm'?"


def test_a_plan_says_what_would_be_fetched_and_fetches_nothing(hub: Hub) -> None:
    with pytest.raises(MissingError) as error:
        make_plan(config("org/open"))
    assert f"'org/open' is not in the local hub cache; {amount(hub)} would be fetched" in error.value.message
    assert error.value.hint == "`conceptprobe plan soul --models org/open --fetch` downloads"
    assert hub.fetched() == []


def test_offline_nothing_is_asked_and_all_that_is_missing_is_listed(hub: Hub, tmp_path: Path) -> None:
    for download in (False, True):
        error = refusal(
            "org/open", "words:cooccurrence", "minilmm", "org/other@v2", offline=True, download=download,
            cache_dir=tmp_path / "a b",
        )  # fmt: skip
        first, *lines = error.message.splitlines()
        assert first == "3 models are not here:"
        assert [line.split(":")[0].strip() for line in lines] == ["org/open", "minilmm", "org/other@v2"]
        fetch = f"`conceptprobe plan soul --models org/open,org/other@v2 --cache-dir '{tmp_path}/a b' --fetch`"
        assert error.hint.startswith(f"{fetch} downloads, where there is a network; ")
    assert hub.asked == []


def test_what_the_hub_has_not_is_said_before_anything_is_downloaded(hub: Hub) -> None:
    error = refusal("org/open", "org/absent", "org/open@v7", "minilmm", download=True)
    text = error.message
    assert "4 models are not here" in text
    assert "no model 'org/absent' on the hub, or it is private" in text
    assert "'org/open' has no revision 'v7'" in text
    assert f"org/open: hub model 'org/open' is not in the local hub cache; {amount(hub)} would be fetched" in text
    assert "--models org/open --fetch" in error.hint
    assert hub.fetched() == []


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    answers(Hub(url="http://127.0.0.1:9"), tmp_path, monkeypatch)
    asked: list[str] = []

    def no_answer(self: HfApi, repo: str, **_: object) -> None:
        asked.append(repo)
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "model_info", no_answer)
    error = refusal("org/one", "org/two", download=True)
    assert asked == ["org/one"]
    assert "--models org/one,org/two --fetch` downloads, where there is a network" in error.hint


def test_a_run_fetches_what_it_needs_and_says_so(hub: Hub) -> None:
    lines = Lines()
    plan = make_plan(config("org/open", "random:org/open#1"), download=True, reporter=lines)
    assert [spec.info.name for spec in plan.specs] == ["org/open", "random:org/open#0", "random:org/open#1"]
    assert len(hub.fetched()) == len(set(hub.fetched())) == 4
    assert lines.said == [f"fetching org/open: 4 files, {amount(hub)}"]
    hub.asked.clear()
    assert make_plan(config("org/open")).plan_hash
    assert hub.asked == []


def test_a_gated_model_is_said_when_the_others_are_here(hub: Hub) -> None:
    error = refusal("org/gated", "org/open", download=True)
    assert "'org/gated' is gated" in error.message
    assert "https://huggingface.co/org/gated" in error.hint
    assert find_models(config("org/open"))  # fetched meanwhile


def test_fetching_says_what_is_here_now(hub: Hub, tiny: Path) -> None:
    rows = fetch_models(config("org/open", str(tiny), "words:cooccurrence"))
    assert [row.downloaded for row in rows] == [True, False, False]
    assert rows[0].revision == COMMIT
    assert rows[0].bytes_ == rows[1].bytes_ == sum(p.stat().st_size for p in tiny.iterdir())
    assert Path(rows[0].folder, "model.safetensors").is_file()
    assert rows[2].folder == ""
    assert not fetch_models(config("org/open"))[0].downloaded


def test_a_revision_that_no_model_takes_is_refused(hub: Hub, tiny: Path) -> None:
    with pytest.raises(UsageError, match="'org/open@main' names its own"):
        find_models(config("org/open@main", revision="main"))
    with pytest.raises(UsageError, match="only models of the hub have revisions"):
        find_models(config("minilm", str(tiny), revision="main"))
    found = find_models(config("org/open", str(tiny), revision=COMMIT), download=True)
    assert found["org/open"].info.revision == COMMIT
