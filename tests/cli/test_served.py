"""One whole run with a served model, through a real process and a real server."""

from __future__ import annotations

import json

from models.embeddings_server import KEY, serving


def test_a_served_model_goes_through_a_whole_run(shell, tmp_path):
    own = {"CONCEPTPROBE_CACHE": str(tmp_path / "cache"), "CONCEPTPROBE_API_KEY": KEY, "OPENAI_API_KEY": ""}
    with serving(key=KEY) as here:
        name = f"api:{here.url}#bag-of-words"
        what = ("soul", "--models", f"{name},words:cooccurrence", "--questions", "encoded", "--permutations", "99")
        planned = json.loads(shell("plan", *what, "--json", **own).stdout)
        assert here.asked == []
        done = shell("run", *what, "--results", str(tmp_path / "results"), "--json", **own)
        assert done.returncode == 0, done.stderr
        assert planned["to_send"] == {name: len(here.texts)}
        shown = json.loads(done.stdout)
    (row,) = [f for f in shown["findings"] if f["headline"]]
    assert (row["model_a"], row["site_a"], row["kind_a"]) == (name, "pooled", "trained")
    # Its words are all such a model knows, and these are no concept in it.
    assert row["verdict"] != "supported"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.suffix == ".pdf" for file in files)
    assert not any(KEY.encode() in file.read_bytes() for file in files)
    assert KEY not in done.stdout + done.stderr
