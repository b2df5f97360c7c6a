"""Runs suites of experiments: what is finished stays, what was cut off goes on.

Usage: python scripts/suite.py SUITE [...] --results FOLDER [OVERRIDE ...]

A suite is a file, or the name of one in ``benchmarl_configs/suites``. Runs that several
suites share are run once, and so are those that the results folder has from before.
Kill it at any moment and start it again: runs go on from their last checkpoints. Ends
with 1 if any run has failed, with 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from suite_display import Display, print_end, print_plan

from remix_plugin.damaged import one_line
from remix_plugin.suites.estimate import Rates
from remix_plugin.suites.folders import (
    OWN_FOLDER,
    RunFolder,
    refuse_other_runs,
    run_folders,
)
from remix_plugin.suites.launching import (
    ON_THIS_MACHINE,
    check_launcher,
    prepare_launch,
)
from remix_plugin.suites.local import RUN_COMMAND, run_locally
from remix_plugin.suites.locks import acquire
from remix_plugin.suites.overrides import check_results_folder, split_overrides
from remix_plugin.suites.plan import read_suite
from remix_plugin.suites.processes import start, stop
from remix_plugin.suites.progress import Progress
from remix_plugin.suites.selection import check_overrides, select_runs

# A runner that was killed may take a moment to die.
LOCK_SECONDS = 5


def main(
    arguments: Sequence[str] | None = None, *, command: Sequence[str] = RUN_COMMAND
) -> int:
    """Run what is not finished yet, or tell what that is; the exit code.

    Args:
        arguments (sequence of str, optional): those of the command line if not given.

    Keyword Args:
        command (sequence of str): what runs one, given its overrides and its folder.
    """
    args = _parse(arguments)
    args.command = command
    names = [word for word in args.words if _is_suite(word)]
    overrides, options = split_overrides(o for o in args.words if o not in names)
    try:
        _check(args, names, options)
        suites = [read_suite(name, tuple(overrides)) for name in names]
        folders = run_folders(args.results, select_runs(suites, args.only))
        refuse_other_runs(folders)
        to_do = [folder for folder in folders if not folder.is_finished]
        check_overrides((folder.run for folder in to_do), here=_runs_here(args))
        rates = Rates(args.results)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(one_line(error), file=sys.stderr)
        return 2
    for suite in suites:
        print(f"{suite.name}: {suite.title}, {len(suite.runs)} runs")
    if args.dry_run:
        print_plan(folders, rates, args.processes or 1)
        return 0
    lock = _lock(args.results / OWN_FOLDER / "runner")
    if lock is None:
        print(
            f"Another runner is at work in {args.results}: wait for it, or give "
            "another results folder.",
            file=sys.stderr,
        )
        return 2
    n_finished = len(folders) - len(to_do)
    print(f"{n_finished} of {len(folders)} runs are finished already.", flush=True)
    try:
        return _run(args, to_do, options, rates)
    finally:
        os.close(lock)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        description="\n".join(lines[4:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="SUITE | OVERRIDE",
        help="suites, and what follows their own overrides: name=value; with a "
        "launcher also hydra.launcher.name=value",
    )
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument(
        "--processes",
        type=int,
        help="runs at a time (default: 1, or what a cluster's launcher likes)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="threads of each run, which results depend on a little (default: this "
        "machine's cores shared among processes, 1 on a cluster)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only runs of matching names, such as '*/remix/seed_0'; may be repeated",
    )
    parser.add_argument(
        "--launcher",
        default="local",
        help="local (default), or a launcher of Hydra's: joblib, submitit_local, "
        "submitit_slurm, ray",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and how long it takes"
    )
    args = parser.parse_intermixed_args(arguments)
    on_this_machine = args.launcher in ("local", *ON_THIS_MACHINE)
    if args.processes is None and on_this_machine:
        args.processes = 1
    if args.threads is None:
        cores = (os.cpu_count() or 1) if on_this_machine else 1
        args.threads = max(1, cores // max(1, args.processes or 1))
    args.results = args.results.absolute()
    return args


def _is_suite(word: str) -> bool:
    """Whether a word names a suite: paths may have = in them, too."""
    return "=" not in word or (
        word.endswith((".yaml", ".yml")) and os.path.isfile(word)
    )


def _check(
    args: argparse.Namespace, suites: Sequence[str], options: Sequence[str]
) -> None:
    """Refuse arguments that do not fit together."""
    check_results_folder(args.results)
    if not suites:
        raise ValueError("No suite is given.")
    for name in ("processes", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value} is not allowed: it must be >= 1.")
    if args.launcher != "local":
        check_launcher(args.launcher)
    elif options:
        raise ValueError(
            f"{options[0]} is for one of Hydra's launchers: give --launcher too."
        )


def _runs_here(args: argparse.Namespace) -> bool:
    """Whether runs are begun, and on this machine."""
    return not args.dry_run and args.launcher in ("local", *ON_THIS_MACHINE)


def _lock(path: Path) -> int | None:
    until = time.monotonic() + LOCK_SECONDS
    while (lock := acquire(path)) is None and time.monotonic() < until:
        time.sleep(0.2)
    return lock


def _run(
    args: argparse.Namespace,
    to_do: Sequence[RunFolder],
    options: Sequence[str],
    rates: Rates,
) -> int:
    """Run all, showing how far they are; the exit code."""
    if not to_do:
        return 0
    display = Display(Progress(to_do, rates, args.processes or 1))
    try:
        with _Signals() as signals:

            def tick() -> None:
                signals.check()
                display.tick()

            if args.launcher == "local":
                run_locally(
                    to_do,
                    processes=args.processes,
                    threads=args.threads,
                    command=args.command,
                    tick=tick,
                )
            else:
                _launch(args, to_do, options, tick)
    except KeyboardInterrupt:
        display.close()
        left = [folder for folder in to_do if not folder.is_finished]
        print(f"Interrupted: {len(left)} runs are left. Start again to go on.")
        if args.launcher not in ("local", *ON_THIS_MACHINE):
            print("Jobs of a cluster go on by themselves, unless you cancel them.")
        return 130
    display.close()
    missing = [folder for folder in to_do if not folder.is_finished]
    for folder in missing:
        print(f"{folder.state().value}: {folder.run.name}, log: {folder.log}")
        print_end(folder.log)
    print(f"{len(to_do) - len(missing)} runs finished, {len(missing)} did not.")
    return 1 if missing else 0


def _launch(
    args: argparse.Namespace,
    to_do: Sequence[RunFolder],
    options: Sequence[str],
    tick: Callable[[], None],
) -> None:
    """Have a launcher of Hydra's run all, and wait."""
    launch = prepare_launch(
        args.launcher,
        to_do,
        processes=args.processes,
        threads=args.threads,
        options=options,
        command=args.command,
    )
    log = launch.folder / "log.txt"
    print(f"launcher's log: {log}", flush=True)
    lock = acquire(launch.lock)
    assert lock is not None
    process = start(launch.command, log, lock=lock)
    os.close(lock)
    try:
        while process.poll() is None:
            tick()
            time.sleep(0.1)
    finally:
        stop(process)
    if process.returncode != 0:
        print(f"The launcher has ended with {process.returncode}, log: {log}")
        print_end(log)


class _Signals:
    """Takes Ctrl-C, a kind kill and a closed terminal for the same, at a fit moment.

    An exception that a signal's handler raises is lost if it comes while a process is
    being forked.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a closed terminal stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, *_: object) -> None:
        self._received = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if one has come."""
        if self._received:
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
