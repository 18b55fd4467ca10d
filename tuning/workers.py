"""Several processes on one study, and one that waits for them."""

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue

from .. import UserError
from ..training.stopping import Interrupted, stop_requests
from .phases import run_phases
from .study import Say, Tuning, open_study


def share(tuning: Tuning, say: Say) -> None:
    """Run both phases in as many processes as the search asks for.

    Raises
    ------
    UserError
        What the first process to fail has said, once all have ended.
    Interrupted
        After Ctrl-C or SIGTERM, once every process has saved its run.
    """
    study = open_study(tuning)  # also where several processes are to come: what is wrong is said once, and first
    if tuning.settings.workers == 1:
        run_phases(tuning, study, say)
        return
    context = multiprocessing.get_context("spawn")
    mistakes: SimpleQueue[str] = context.SimpleQueue()
    arguments = (tuning, say, mistakes)
    processes = [context.Process(target=_take_part, args=arguments) for _ in range(tuning.settings.workers)]
    with stop_requests() as requests:
        for process in processes:
            process.start()
        passed_on = 0
        while any(process.is_alive() for process in processes):
            wait([process.sentinel for process in processes if process.is_alive()], timeout=0.2)
            for number in requests[passed_on:]:
                for process in processes:
                    if process.is_alive() and process.pid is not None:
                        os.kill(process.pid, number)
            passed_on = len(requests)
    if requests:
        raise Interrupted(requests[0], tuning.directory)
    if not mistakes.empty():
        raise UserError(mistakes.get())
    if any(process.exitcode == 1 for process in processes):
        raise RuntimeError("a process of the search ended with the error that is shown above")
    if all(process.exitcode for process in processes):
        raise UserError(f"All processes of {tuning.directory} were killed: the same command continues.")


def _take_part(tuning: Tuning, say: Say, mistakes: "SimpleQueue[str]") -> None:
    """Run both phases in this process; the one that started it takes care of signals from the terminal."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_phases(tuning, open_study(tuning), say)
    except UserError as error:
        mistakes.put(str(error))
        sys.exit(2)
    except KeyboardInterrupt as stop:
        sys.exit(getattr(stop, "exit_status", 130))


def _end_with_parent() -> None:
    """Ask this process to save and stop when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
