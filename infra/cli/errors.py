"""What a person sees of an error, and the exit code that goes with it."""

import traceback
from typing import Any

from rich.text import Text

from apex.errors import ApexError, Conflict, DataDirectoryBusy, InvalidInput, NotFound
from infra.cli.console import err, print_document

USAGE = 2
BROKEN = 4
"""The command itself could not do its work; nothing is said about how the workflow ends."""

_USERS = (InvalidInput, NotFound, Conflict, DataDirectoryBusy)


def tell(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Print an error, as a document where ``as_json``; answers the exit code."""
    known = error if isinstance(error, ApexError) else _unexpected(error)
    if debug:
        err().print("".join(traceback.format_exception(error)), style="dim", soft_wrap=True)
    if as_json:
        print_document({"error": known.to_dict()})
    else:
        console = err()
        console.print(Text(str(known), style="red"), soft_wrap=True)
        console.print(Text(known.remedy, style="dim"), soft_wrap=True)
    return USAGE if isinstance(known, _USERS) else BROKEN


class _Unexpected(ApexError):
    remedy = "This is a defect. The same command with --debug shows where it happened; please report that."


def _unexpected(error: Exception) -> ApexError:
    return _Unexpected(f"{type(error).__name__}: {error}")


def usage_document(error: Any) -> dict[str, Any]:
    """A mistake on the command line as the same kind of document."""
    problem = InvalidInput(error.format_message())
    return {"error": problem.to_dict()}
