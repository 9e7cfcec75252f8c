"""Handlers under AWS's own runtime client: isolated, and killed when they overrun."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cloud.settings import Settings
from infra.local.cloud import LocalCloud
from infra.local.lambdas import Answer, Function
from infra.local.lambdas.logs import LogBook
from infra.local.lambdas.processes import ProcessInvoker

ECHO = "apex-dev-fixture-echo"
TROUBLE = "apex-dev-fixture-trouble"


@pytest.fixture(scope="module")
def cloud(small_house: Settings) -> Iterator[LocalCloud]:
    with LocalCloud(settings=small_house, isolation="processes") as running:
        yield running


def invoke(cloud: LocalCloud, function: str, event: Any) -> tuple[str | None, Any]:
    response = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    return response.get("FunctionError"), json.loads(response["Payload"].read())


def test_a_handler_runs_in_a_warm_process_of_its_own(cloud: LocalCloud) -> None:
    first, second = invoke(cloud, TROUBLE, {"kind": "pid"}), invoke(cloud, TROUBLE, {"kind": "pid"})
    assert first == second
    assert first[1]["pid"] != os.getpid()


def test_the_runtime_gives_the_real_context(cloud: LocalCloud) -> None:
    error, answer = invoke(cloud, ECHO, {"a": 1})
    assert error is None
    assert answer["event"] == {"a": 1}
    assert answer["function"] == ECHO
    assert answer["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{ECHO}"
    assert answer["memory"] == "512"
    assert 8000 < answer["remaining"] <= 10_000


def test_both_modes_give_the_same_error_documents(cloud: LocalCloud) -> None:
    """The shapes that test_lambda_threads.py expects of threads are those of the real runtime."""
    error, raised = invoke(cloud, TROUBLE, {"kind": "raise"})
    assert error == "Unhandled"
    assert (raised["errorType"], raised["errorMessage"]) == ("PaymentDeclined", "no credit left")
    assert set(raised) == {"errorType", "errorMessage", "requestId", "stackTrace"}
    assert "fixture_trouble/handler.py" in raised["stackTrace"][0]
    assert invoke(cloud, TROUBLE, {"kind": "not-json"})[1]["errorType"] == "Runtime.MarshalError"
    assert invoke(cloud, TROUBLE, {"kind": "decimal"}) == (None, {"price": 12.3, "pair": [1, 2]})


def test_a_process_that_dies_is_an_exit_error_and_is_replaced(cloud: LocalCloud) -> None:
    before = invoke(cloud, TROUBLE, {"kind": "pid"})[1]["pid"]
    error, document = invoke(cloud, TROUBLE, {"kind": "die"})

    assert error == "Unhandled"
    assert document["errorType"] == "Runtime.ExitError"
    assert document["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")
    assert invoke(cloud, TROUBLE, {"kind": "pid"})[1]["pid"] != before


def test_an_overrun_is_really_killed(cloud: LocalCloud, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pid = invoke(cloud, TROUBLE, {"kind": "pid"})[1]["pid"]
    error, document = invoke(cloud, TROUBLE, {"kind": "sleep", "seconds": 5, "mark": str(mark)})

    assert error == "Unhandled"
    assert document["errorType"] == "Sandbox.Timedout"
    assert document["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not mark.exists()


def test_functions_have_environments_of_their_own(cloud: LocalCloud) -> None:
    assert invoke(cloud, TROUBLE, {"kind": "environment", "name": "POWERTOOLS_SERVICE_NAME"}) == (
        None,
        "fixture-trouble",
    )
    assert "POWERTOOLS_SERVICE_NAME" not in os.environ
    assert "APEX_JOURNAL_TABLE" not in os.environ


def test_the_process_reaches_the_same_tables(cloud: LocalCloud) -> None:
    cloud.client("dynamodb").put_item(
        TableName=cloud.outputs["StateTable"],
        Item={"pk": {"S": "a"}, "sk": {"S": "b"}, "tenant_pk": {"S": "t"}, "created_sk": {"S": "c"}},
    )
    error, found = invoke(cloud, TROUBLE, {"kind": "read", "key": {"pk": {"S": "a"}, "sk": {"S": "b"}}})
    assert (error, found["tenant_pk"]) == (None, {"S": "t"})


def test_what_a_process_prints_is_in_the_log(cloud: LocalCloud) -> None:
    invoke(cloud, TROUBLE, {"kind": "print", "text": "from the process"})
    end = time.monotonic() + 5
    while "from the process" not in [line.text for line in cloud.logs(TROUBLE)] and time.monotonic() < end:
        time.sleep(0.01)
    assert "from the process" in [line.text for line in cloud.logs(TROUBLE)]


def _function(bundle: Path, handler: str) -> Function:
    return Function("f", "arn:f", handler, timeout=5, bundle=bundle)


@pytest.fixture
def invoker() -> Iterator[ProcessInvoker]:
    running = ProcessInvoker({})
    yield running
    running.close()


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("import nothing_of_that_name", "Runtime.ImportModuleError"),
        ("def handler(:", "Runtime.UserCodeSyntaxError"),
        ("x = 1", "Runtime.HandlerNotFound"),
        ("import os; os._exit(9)", "Runtime.ExitError"),
    ],
)
def test_code_that_cannot_be_loaded_says_why(
    tmp_path: Path, invoker: ProcessInvoker, code: str, error_type: str
) -> None:
    (tmp_path / "mycode.py").write_text(code, encoding="utf-8")
    answer = invoker.invoke(_function(tmp_path, "mycode.handler"), "{}")
    assert answer.failed
    assert json.loads(answer.payload)["errorType"] == error_type
    assert invoker.busy() == 0


def test_layers_are_on_the_path(tmp_path: Path, invoker: ProcessInvoker) -> None:
    layer = tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    (layer / "python" / "from_the_layer.py").write_text("VALUE = 42", encoding="utf-8")
    (tmp_path / "mycode.py").write_text(
        "import from_the_layer\ndef handler(e, c): return from_the_layer.VALUE", encoding="utf-8"
    )
    function = Function("f", "arn:f", "mycode.handler", timeout=5, bundle=tmp_path, layers=(layer,))
    assert invoker.invoke(function, "{}") == Answer("42")


def test_concurrent_invocations_have_processes_of_their_own(tmp_path: Path, invoker: ProcessInvoker) -> None:
    (tmp_path / "mycode.py").write_text(
        "import os, time\ndef handler(e, c):\n    time.sleep(0.3)\n    return os.getpid()", encoding="utf-8"
    )
    function, answers = _function(tmp_path, "mycode.handler"), []
    callers = [threading.Thread(target=lambda: answers.append(invoker.invoke(function, "{}"))) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len({answer.payload for answer in answers}) == 2


def test_large_events_and_results_pass(tmp_path: Path, invoker: ProcessInvoker) -> None:
    (tmp_path / "mycode.py").write_text("def handler(e, c): return {'back': e['text']}", encoding="utf-8")
    text = "ä" * 1_000_000
    answer = invoker.invoke(_function(tmp_path, "mycode.handler"), json.dumps({"text": text}))
    assert json.loads(answer.payload) == {"back": text}


def test_faults_can_be_injected_on_this_side_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "mycode.py").write_text(
        "def handler(e, c):\n    if e.get('bad'): raise KeyError('bad')\n    return e", encoding="utf-8"
    )

    def around(_: str, event: dict[str, Any], proceed: Callable[[dict[str, Any]], Any]) -> Any:
        result = proceed({**event, "seen": True})
        if event.get("lose"):
            raise ConnectionError("lost")
        return result

    invoker = ProcessInvoker({}, around, LogBook())
    function = _function(tmp_path, "mycode.handler")
    try:
        assert json.loads(invoker.invoke(function, "{}").payload) == {"seen": True}
        assert json.loads(invoker.invoke(function, '{"bad": 1}').payload)["errorType"] == "KeyError"
        assert json.loads(invoker.invoke(function, '{"lose": 1}').payload)["errorType"] == "ConnectionError"
    finally:
        invoker.close()


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    """A laptop must not collect runtime processes of local clouds that were killed."""
    (tmp_path / "mycode.py").write_text("import os\ndef handler(e, c): return os.getpid()", encoding="utf-8")
    program = (
        "import os, signal; from pathlib import Path; from infra.local.lambdas import Function;"
        "from infra.local.lambdas.processes import ProcessInvoker;"
        f"f = Function('f', 'arn', 'mycode.handler', timeout=5, bundle=Path({str(tmp_path)!r}));"
        "print(ProcessInvoker({}).invoke(f, '{}').payload, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
