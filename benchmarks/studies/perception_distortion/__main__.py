"""Run the study, or what is left of it; the same command goes on where it stopped.

``python -m restoration.benchmarks.studies.perception_distortion [--task denoise] [--arm pmrf] [--minutes 480]`` trains
and measures every arm and writes a record of each; ``--page`` writes the page and its pictures from the records.
"""

import argparse
import math
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from restoration.benchmarks.studies.perception_distortion.arms import ARMS, SEEDS, TASKS, arms_of
from restoration.benchmarks.studies.perception_distortion.claims import close_pairs, verdicts
from restoration.benchmarks.studies.perception_distortion.evaluating import (
    MODULE,
    Place,
    identity_of,
    is_finished,
    run_arm,
)
from restoration.benchmarks.studies.perception_distortion.page import write_page
from restoration.benchmarks.studies.perception_distortion.records import Study, read_records
from restoration.benchmarks.studies.perception_distortion.schedule import Job, run_all, with_needs
from restoration.errors import RestorationError

WORK, RESULTS = Path("runs/perception_distortion"), Path("benchmarks/results/perception_distortion")


def main() -> None:
    """Run the command line; every failure is one line and an exit code."""
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupted)  # what runs beside it is to end with it
    try:
        code = _run(options)
    except RestorationError as error:
        print(f"perception_distortion: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", choices=list(TASKS), help="of all, these alone")
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="of all, these and what they need")
    parser.add_argument(
        "--seeds", type=_count, help=f"trainings of each arm; else 1, and {SEEDS} of close ones"
    )
    parser.add_argument("--minutes", type=float, help="stop then; the same command goes on")
    parser.add_argument(
        "--steps", type=_count, help="of each training, for a trial; its records go below --work"
    )
    parser.add_argument("--jobs", type=_count, default=2, help="arms at once, each of one thread")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of photographs and trainings")
    parser.add_argument("--results", type=Path, help=f"folder of records; {RESULTS} by default")
    parser.add_argument("--training", help="folder of photographs to learn from, or one of the data root")
    parser.add_argument("--held-out", help="folder of photographs to measure, or one of the data root")
    parser.add_argument("--page", type=Path, nargs="?", const=Path("docs/perception_distortion.md"),
                        help="write the page and its pictures from the records, and stop")  # fmt: skip
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)  # this one, in this process
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    other = options.training or options.held_out  # photographs: their records are not those of the package
    trial = f"trial-{options.steps}-steps" if options.steps else "other-photographs" if other else ""
    results = options.results or (options.work / trial if trial else RESULTS)
    place = Place(options.work, results, options.steps, options.training, options.held_out)
    if options.page:
        for path in write_page(options.page, read_records(results)):
            print(f"wrote {path}")
        return 0
    options.end = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    chosen = [
        Job(task, arm.name, seed)
        for seed in range(options.seeds or 1)
        for task in options.task or TASKS
        for arm in arms_of(task)
        if not options.arm or arm.name in options.arm
    ]
    if options.seed is not None:
        for job in chosen:
            run_arm(place, TASKS[job.task], ARMS[job.arm], options.seed)
        return 0
    failed = _run_jobs(place, [job for job in chosen if job.seed == 0 or ARMS[job.arm].learns], options)
    if not failed and not options.seeds and not options.arm:
        pairs = close_pairs(_own_records(place), options.task or list(TASKS))
        more = [Job(task, arm, seed) for task, arm in pairs for seed in range(1, SEEDS)]
        failed = _run_jobs(place, more, options)
    for verdict in verdicts(_own_records(place)):
        print(verdict.line)
    for job in failed:
        print(f"perception_distortion: {job}: not finished", file=sys.stderr)
    return 1 if failed else 0


def _own_records(place: Place) -> Study:
    """Return the records of this study: others beside them, of other photographs or experiments, are not read."""
    photographs = place.photographs()

    def wanted(record: Mapping[str, Any]) -> bool:
        task, arm = TASKS.get(record["task"]), ARMS.get(record["arm"])
        return bool(task and arm) and record["digest"] == identity_of(
            place, photographs, task, arm, record["seed"]
        )

    return read_records(place.results, wanted)


def _run_jobs(place: Place, wanted: Sequence[Job], options: argparse.Namespace) -> list[Job]:
    """Run the jobs whose records are not there, and what they need; return those that did not end well."""
    photographs, every = place.photographs(), with_needs(wanted)
    unfinished = [
        job
        for job in every
        if not is_finished(
            place.record(*job), identity_of(place, photographs, TASKS[job.task], ARMS[job.arm], job.seed)
        )
    ]
    jobs = [job for job in with_needs(unfinished) if job in unfinished or not place.weights(*job).is_file()]
    measured = f"measured on {len(photographs.names)} photographs of {photographs.source}"
    print(f"{len(jobs)} of {len(every)} arms to run, {measured}", flush=True)
    same = [f"--work={place.work}", f"--results={place.results}"]
    same += [f"--{key}={value}" for key, value in (
        ("steps", place.steps), ("training", place.training), ("held-out", place.held_out)
    ) if value]  # fmt: skip

    def command(job: Job) -> list[str]:
        return [MODULE, "--task", job.task, "--arm", job.arm, "--seed", str(job.seed), *same]

    def say(line: str) -> None:
        print(line, flush=True)

    return run_all(jobs, command, options.jobs, options.end, say)


if __name__ == "__main__":
    main()
