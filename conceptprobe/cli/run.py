"""`conceptprobe run`: the main job."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json
from conceptprobe.errors import UsageError

NAME = "run"


@o.with_loading
def command(
    ctx: typer.Context,
    concept: o.ConceptArgument = "",
    models: o.Models = o.MODELS,
    background: o.Background = "background",
    questions: o.Questions = o.QUESTIONS,
    twins: o.Twins = 3,
    permutations: o.Permutations = 999,
    seed: o.Seed = 0,
    human: o.Human = None,
    results: o.Results = Path("results"),
    plugin: o.Plugin = None,
    plan: o.PlanOption = None,
    json_: o.Json = False,
    *,
    loading: o.Loading,
) -> None:
    """Probe a concept: extract activations, ask the questions, write a run folder, show the concept card.

    An interrupted run resumes when the same command is given again. With --plan, concept and options are the plan's.
    """
    typed = {
        "concept": concept,
        "models": models,
        "background": background,
        "questions": questions,
        "twins": twins,
        "permutations": permutations,
        "seed": seed,
        "human": human,
        **loading,
    }
    frozen = None
    if plan:
        from conceptprobe.pipeline.frozen import read_frozen
        from conceptprobe.pipeline.prereg import settings_of

        frozen = read_frozen(plan)
        # What was typed stays: where it contradicts the plan, the run says so instead of following either.
        typed = settings_of(frozen.plan) | {name: typed[name] for name in typed if _was_typed(ctx, name)}
    elif not concept:
        raise UsageError("no concept was named", hint="conceptprobe run soul, or conceptprobe run --plan FILE")
    config = o.run_config(**typed, results=results, plugins=tuple(plugin or ()))
    from conceptprobe.cli.progress import Terminal
    from conceptprobe.pipeline.run import run

    with Terminal() as reporter:
        done = run(config, typed=sys.argv[1:], reporter=reporter, frozen=frozen)
    if json_:
        from conceptprobe.cli.show import as_dict

        print_json(as_dict(done))
    else:
        from conceptprobe.cli.show import print_run

        print_run(done)
    if done.failures:
        for failure in done.failures:
            typer.echo(f"error: {failure['model']} was left out: {failure['message']}", err=True)
        raise typer.Exit(1)


def _was_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
