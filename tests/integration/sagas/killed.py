"""A program that carries out a goal and is killed on the way: ``python -m tests.integration.sagas.killed DIR POINT TOOL
KEY GOAL``. SIGKILL comes when the tool passes the fault point for the first time, so nothing is put in order."""

import os
import signal
import sys
from pathlib import Path

from apex.app.submit import Goal
from apex.faults import FaultPoint, Reached
from infra.local.session import LocalSession


def main(directory: str, point: str, tool: str, key: str, goal: str) -> int:
    """Ends by SIGKILL; answers 1 where the workflow ended without passing the point."""

    def kill(reached: Reached) -> None:
        if (reached.point, reached.tool) == (FaultPoint(point), tool):
            os.kill(os.getpid(), signal.SIGKILL)

    with LocalSession(Path(directory), injector=kill) as session:
        session.wait(session.submit(Goal("acme", "ana", goal, key)).head.ref)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
