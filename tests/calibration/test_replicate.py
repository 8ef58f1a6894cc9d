"""Replications: the same whatever the processes, kept as they come, resumed where they stopped."""

from __future__ import annotations

import pytest

from conceptprobe import threads
from conceptprobe.activations import Store
from conceptprobe.calibration import replicate as module
from conceptprobe.calibration.replicate import BLOCK, outcomes, replicate
from conceptprobe.calibration.rows import rows_named, tuned
from conceptprobe.errors import UsageError

CHEAP = rows_named(("carried-nothing", "carried-apart"))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "cache")


def kept(store: Store) -> int:
    return sum(entry.about["stage"] == "calibrate" for entry in store.entries())


def test_every_row_has_every_replication_once(store):
    found = replicate(CHEAP, BLOCK + 3, 0, store, workers=1)
    assert [r.row.name for r in found] == [row.name for row in CHEAP]
    for each in found:
        assert [o.replication for o in each.outcomes] == list(range(BLOCK + 3))
        assert {o.question for o in each.outcomes} == set(each.row.questions)
        assert all(o.ci_low <= o.effect <= o.ci_high for o in each.outcomes)
        assert len({o.estimate for o in each.outcomes}) > 1  # not one replication over and over


def test_an_interrupted_table_keeps_what_was_done_and_resumes_to_the_same_numbers(store, tmp_path, monkeypatch):
    whole = replicate(CHEAP, 2 * BLOCK, 0, Store(tmp_path / "other"), workers=1)
    work, done = module._work, []

    def interrupted(job, seed):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return work(job, seed)

    monkeypatch.setattr(module, "_work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replicate(CHEAP, 2 * BLOCK, 0, store, workers=1)
    assert kept(store) == 2

    again = []
    monkeypatch.setattr(module, "_work", lambda job, seed: (again.append(job), work(job, seed))[1])
    resumed = replicate(CHEAP, 2 * BLOCK, 0, store, workers=1)
    assert len(again) == 2
    assert not set(again) & set(done)
    assert repr(resumed) == repr(whole)


def test_a_finished_table_computes_nothing_and_a_longer_one_only_what_is_new(store, monkeypatch):
    replicate(CHEAP, BLOCK, 0, store, workers=1)
    work, made = module._work, []
    monkeypatch.setattr(module, "_work", lambda job, seed: (made.append(job), work(job, seed))[1])
    replicate(CHEAP, BLOCK, 0, store, workers=1)
    assert made == []
    replicate(CHEAP, 2 * BLOCK, 0, store, workers=1)
    assert {job.start for job in made} == {BLOCK}
    made.clear()
    replicate(CHEAP[:1], BLOCK, 1, store, workers=1)  # another seed is another table
    assert len(made) == 1


def test_progress_ends_at_its_total(store):
    told: list[tuple[int, int]] = []
    replicate(CHEAP, BLOCK, 0, store, workers=1, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)


@pytest.mark.slow
def test_processes_change_no_number(store, tmp_path):
    rows = rows_named(("carried-nothing", "template-only"))
    alone = replicate(rows, 2 * BLOCK, 0, store, workers=1)
    together = replicate(rows, 2 * BLOCK, 0, Store(tmp_path / "other"), workers=2)
    assert repr(alone) == repr(together)


def test_two_questions_of_one_world_are_asked_of_one_run():
    (row,) = rows_named(("nothing",))
    seen = []

    def ask(question, run):
        seen.append((question, id(run)))
        from conceptprobe import registry

        return registry.get("question", question)(run)

    outcomes(row, 0, 1, 0, ask)
    assert [question for question, _ in seen] == ["encoded", "beyond_words"]
    assert len({run for _, run in seen}) == 1


def test_an_unknown_row_is_met_with_the_nearest_one():
    with pytest.raises(UsageError, match="Did you mean 'topic-only'"):
        rows_named(("topic-onyl",))
    assert len(rows_named(())) > 10


def test_a_tuned_row_differs_in_its_strength_alone():
    (row,) = rows_named(("smallest-effect",))
    stronger = tuned(row, 0.4)
    assert (stronger.world.concept, row.world.concept) == (0.4, 0.0)
    assert stronger.asked == row.asked


def test_one_thread_gives_what_two_give(monkeypatch):
    """Processes that share the cores already use one thread each; no number may hang on it."""
    (row,) = rows_named(("topic-only",))
    two = outcomes(row, 0, 1, 0)
    monkeypatch.setattr(threads, "_ALONE", True)
    assert repr(outcomes(row, 0, 1, 0)) == repr(two)
