"""`python -m labkit`: long trainings, their figures, and data.

python -m labkit list                      the experiments there are
python -m labkit train NAME...             run them; 'omniglot-*' names a family
python -m labkit table NAME...             their recorded figures as Markdown
python -m labkit evaluate NAME...          measure them again from their checkpoints
python -m labkit data omniglot PART...     download parts of Omniglot, checked
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from fnmatch import fnmatch

from labkit import device
from labkit.experiments import EXPERIMENTS, find, records
from labkit.experiments.experiment import judge, run
from labkit.tasks import omniglot
from labkit.tasks.downloads import DamagedData, MissingData


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (
        MissingData,
        DamagedData,
        OSError,
        ArithmeticError,
        ValueError,
    ) as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nlabkit: interrupted. The same command goes on from the last checkpoint, "
            "if one was written by now.",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labkit")
    commands = parser.add_subparsers(required=True)

    listing = commands.add_parser("list", help="the experiments there are")
    listing.set_defaults(command=_list)

    train = commands.add_parser("train", help="run experiments and record them")
    train.add_argument("names", nargs="+", metavar="NAME")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto")
    train.add_argument(
        "--smoke", action="store_true", help="two steps, nothing kept: does it run?"
    )
    train.set_defaults(command=_train)

    table = commands.add_parser("table", help="recorded figures as Markdown")
    table.add_argument("names", nargs="+", metavar="NAME")
    table.add_argument("--tasks", default="*", help="only tasks of names like this")
    table.set_defaults(command=_table)

    again = commands.add_parser(
        "evaluate", help="measure recorded figures again from the checkpoints"
    )
    again.add_argument("names", nargs="+", metavar="NAME")
    again.add_argument("--seed", type=int, help="of the tasks; that of the record")
    again.add_argument("--tasks", type=int, help="how many; as many as recorded")
    again.add_argument(
        "--keep", action="store_true", help="write the new figures into the record"
    )
    again.set_defaults(command=_evaluate)

    data = commands.add_parser("data", help="download public data")
    data.add_argument("dataset", choices=["omniglot"])
    data.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(omniglot.FILES)}"
    )
    data.set_defaults(command=_data)
    return parser


def _matching(patterns: list[str]) -> list[str]:
    """The experiments named, families expanded, in the order given."""
    names: list[str] = []
    for pattern in patterns:
        matches = [name for name in EXPERIMENTS if fnmatch(name, pattern)]
        names += matches or [pattern]  # a name that matches nothing fails in `find`
    return names


def _list(options: argparse.Namespace) -> None:
    known = set(records.recorded())
    for name, experiment in EXPERIMENTS.items():
        done = name in known
        print(f"{name:32} {'recorded' if done else ''}")
        print(f"    {experiment.configuration()}")


def _train(options: argparse.Namespace) -> None:
    chosen = [(name, find(name)) for name in _matching(options.names)]
    for name, experiment in chosen:
        run(
            name,
            experiment,
            seed=options.seed,
            device=device.choose(options.device),
            smoke=options.smoke,
        )


def _table(options: argparse.Namespace) -> None:
    chosen = [records.read(name) for name in _matching(options.names)]
    print(records.table(chosen, options.tasks))


def _evaluate(options: argparse.Namespace) -> None:
    for name in _matching(options.names):
        record, experiment = records.read(name), find(name)
        learner = records.load_weights(experiment.learner(), name)
        evaluations = {name: make() for name, make in experiment.evaluations().items()}
        seed = record.seed if options.seed is None else options.seed
        results = judge(
            experiment, learner, evaluations, n_tasks=options.tasks, seed=seed
        )
        print(f"{name}: recorded, and now on tasks of seed {seed}")
        for result in results:
            before = record.result(result.tasks).measured()
            print(f"    {before:18} {result.measured():18} {result.tasks}")
        if options.keep:
            print(f"wrote {replace(record, results=results).write()}")


def _data(options: argparse.Namespace) -> None:
    for part in options.parts or omniglot.FILES:
        path = omniglot.download(part)
        checked = (
            "byte for byte the official file"
            if omniglot.is_official(part, path)
            else "packed otherwise than the official file, with its content: all names "
            "and pixels were checked"
        )
        print(f"omniglot {part}: {path}, {checked}")


if __name__ == "__main__":
    sys.exit(main())
