"""Run a suite of experiments: what is finished stays, what was cut off goes on.

A suite is a file, or the name of one in benchmarl_configs/suites. Runs that several
suites share are run once, and so are those that the results folder has from before.
Kill it at any moment and start it again: runs go on from their last checkpoints. Ends
with 1 if any run has failed, with 130 on Ctrl-C.

    remix suite figure_1 --results results/paper --processes 2 --dry-run
    remix suite figure_1 --results results/paper --only '*/remix/*' experiment.lr=0.001
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from remix_plugin.damaged import one_line
from remix_plugin.suites.estimate import RunTimeEstimate, duration, first_guess
from remix_plugin.suites.folders import (
    OWN_FOLDER,
    RunFolder,
    State,
    acquire,
    refuse_other_runs,
    run_folders,
)
from remix_plugin.suites.launching import (
    ON_THIS_MACHINE,
    check_launcher,
    prepare_launch,
)
from remix_plugin.suites.local import RUN_COMMAND, run_locally, start, stop
from remix_plugin.suites.plan import check_results_folder, read_suite, split_overrides
from remix_plugin.suites.selection import check_overrides, select_runs

# A runner that was killed may take a moment to die.
LOCK_SECONDS = 5
# Of runs that are on their way, and of the logs of those that failed
SHOWN = 3
LAST_LINES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the subcommand takes."""
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


def main(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run what is not finished yet, or tell what that is; the exit code."""
    return run_suites(args)


def run_suites(
    args: argparse.Namespace, *, command: Sequence[str] = RUN_COMMAND
) -> int:
    """Run what is not finished yet, or tell what that is; the exit code.

    Args:
        args (argparse.Namespace): what was given of :func:`add_arguments`.

    Keyword Args:
        command (sequence of str): what runs one, given its overrides and its folder.
    """
    _fill_in(args)
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
        rates = RunTimeEstimate(args.results)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(one_line(error), file=sys.stderr)
        return 2
    for suite in suites:
        print(f"{suite.name}: {suite.title}, {len(suite.runs)} runs")
    if args.dry_run:
        _print_plan(folders, rates, args.processes or 1)
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
        return _run(args, to_do, options)
    finally:
        os.close(lock)


def _fill_in(args: argparse.Namespace) -> None:
    """Choose what was left to this machine."""
    on_this_machine = args.launcher in ("local", *ON_THIS_MACHINE)
    if args.processes is None and on_this_machine:
        args.processes = 1
    if args.threads is None:
        cores = (os.cpu_count() or 1) if on_this_machine else 1
        args.threads = max(1, cores // max(1, args.processes or 1))
    args.results = args.results.absolute()


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
) -> int:
    """Run all, showing how far they are; the exit code."""
    if not to_do:
        return 0
    progress = SuiteProgress(to_do)
    try:
        with _Signals() as signals:

            def tick() -> None:
                signals.check()
                progress.tick()

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
        progress.close()
        left = [folder for folder in to_do if not folder.is_finished]
        print(f"Interrupted: {len(left)} runs are left. Start again to go on.")
        if args.launcher not in ("local", *ON_THIS_MACHINE):
            print("Jobs of a cluster go on by themselves, unless you cancel them.")
        return 130
    progress.close()
    missing = [folder for folder in to_do if not folder.is_finished]
    for folder in missing:
        print(f"{folder.state().value}: {folder.run.name}, log: {folder.log}")
        _print_end(folder.log)
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
        _print_end(log)


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


class SuiteProgress:
    """Shows how many runs have ended, and says which, seen from their folders alone.

    A run that is on its way counts as the share of its frames that it has. Without a
    terminal there is a line for each run that ends, and no bar.

    Args:
        folders (sequence of RunFolder): of the runs that are to be run.
    """

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        # With their last start before now, whose traces do not count.
        self._open = {folder: folder.started for folder in folders}
        self._total = len(folders)
        self._looked = 0.0
        self._bar = tqdm(
            total=self._total,
            unit="run",
            smoothing=0,
            disable=None,
            bar_format="{n:.1f}/{total} runs |{bar:20}| {remaining} left {postfix}",
        )

    def tick(self) -> None:
        """Look every two seconds."""
        if time.monotonic() - self._looked >= 2:
            self.look()
            self._looked = time.monotonic()

    def close(self) -> None:
        """Say what has ended last."""
        self.look()
        self._bar.close()

    @property
    def runs(self) -> float:
        """Runs that have ended, and shares of those on their way."""
        return self._bar.n

    def look(self) -> None:
        """Look at all folders; say which runs have ended since the last look."""
        running = {}
        for folder, before in list(self._open.items()):
            # None while the folder is made anew, with the last attempt's files in it.
            is_begun = folder.started not in (None, before)
            if folder.is_finished or (is_begun and folder.is_failed):
                del self._open[folder]
                self._tell(folder)
            elif is_begun:
                running[folder] = folder.frames() or 0
        shares = [
            frames / folder.run.frames
            for folder, frames in running.items()
            if folder.run.frames
        ]
        self._bar.n = self._total - len(self._open) + min(sum(shares), len(shares))
        names = [folder.run.name for folder in running]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        self._bar.set_postfix_str(", ".join(names[:SHOWN]) + more)

    def _tell(self, folder: RunFolder) -> None:
        how = "finished" if folder.is_finished else "FAILED"
        counts = f"{self._total - len(self._open)}/{self._total} runs"
        clock = time.strftime("%H:%M:%S")
        self._bar.write(f"{clock} {how} {folder.run.name} ({counts})")
        sys.stdout.flush()


def _print_plan(
    folders: Sequence[RunFolder], rates: RunTimeEstimate, processes: int
) -> None:
    """Print all runs and how long those take that are to be run."""
    states = {folder: folder.state() for folder in folders}
    to_do = [f.run for f, state in states.items() if state is not State.FINISHED]
    for folder, state in states.items():
        seconds = rates.seconds(folder.run) if folder.run in to_do else None
        about = f"  about {duration(seconds)}" if seconds is not None else ""
        print(f"{state.value:9} {folder.run.name}{about}")
    counts = Counter(states.values())
    parts = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    print(f"{len(folders)} runs: {', '.join(parts)}")
    if not to_do:
        return
    total = rates.total(((run, 0) for run in to_do), processes)
    guess = first_guess(to_do, processes)
    if total is not None:
        print(
            f"estimate: {duration(total)} with {processes} at a time, by the "
            f"{rates.n_runs} finished runs in the results folder"
        )
    elif guess is not None:
        print(
            f"estimate: roughly {duration(guess)} with {processes} at a time, by what "
            "such runs took on one core each of another machine: none has finished in "
            "the results folder"
        )
    else:
        print("estimate: none before a run of known length has finished there")


def _print_end(log: Path) -> None:
    """Print the last lines of a log, if there are any."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    for line in lines[-LAST_LINES:]:
        print(f"    {line}")
