"""The process around the providers: it starts, survives kill -9 with its data, and never outlives its owner."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apex.errors import LocalCloudError
from infra.local.providers import Providers
from tests.integration.providers.world import CHARGE, PARIS, STAY, Provider

Connect = Callable[[str], Provider]


def use_all(connect: Connect, urls: dict[str, str]) -> dict[str, dict[str, object]]:
    """One effect at each provider; returns the answers."""
    flights, hotels, payments = (connect(urls[name]) for name in ("flights", "hotels", "payments"))
    flight_id = flights.get("/flights", **PARIS)["flights"][0]["flight_id"]
    return {
        "flights": flights.post("/bookings", {"flight_id": flight_id, "passenger": "Ada"}, key="k1").body,
        "hotels": hotels.post("/reservations", STAY, key="k1").body,
        "payments": payments.post("/charges", CHARGE, key="k1").body,
    }


def test_three_services_on_three_loopback_ports(running: Providers, connect: Connect) -> None:
    assert list(running.urls) == ["flights", "hotels", "payments"]
    assert len(set(running.urls.values())) == 3
    for name, url in running.urls.items():
        assert url.startswith("http://127.0.0.1:")
        assert connect(url).get("/health") == {"status": "ok", "provider": name}


def test_what_was_answered_survives_a_kill_at_the_same_urls(tmp_path: Path, connect: Connect) -> None:
    with Providers.start(tmp_path / "world") as providers:
        answers, urls = use_all(connect, providers.urls), dict(providers.urls)
        connect(urls["flights"]).post("/bookings/by-key/dead/cancel", {}, key="u1")
        inventories = {name: connect(url).inventory() for name, url in urls.items()}
        pid = providers.pid
        providers.kill()
        providers.restart()
        assert providers.pid not in (None, pid)
        assert providers.urls == urls
        assert use_all(connect, urls) == answers  # the same keys: the first answers, no second effects
        for name, url in urls.items():
            assert connect(url).kinds() == ["apply"]
            assert connect(url).inventory() == inventories[name]
        seat = {"flight_id": answers["flights"]["flight_id"], "passenger": "Ada"}
        assert connect(urls["flights"]).post("/bookings", seat, key="dead").body["code"] == "key_revoked"


def test_a_kill_amid_traffic_loses_no_answered_charge(tmp_path: Path, connect: Connect) -> None:
    with Providers.start(tmp_path) as providers:
        payments = connect(providers.urls["payments"])
        answered = []
        for number in range(60):
            if payments.post("/charges", {**CHARGE, "amount": "1.00"}, key=f"k{number}").status == 201:
                answered.append(f"k{number}")
            if number == 40:
                providers.kill()
                providers.restart()
        assert [entry["key"] for entry in payments.ledger()] == answered
        assert len(answered) == 60


def test_without_a_directory_nothing_is_kept(connect: Connect) -> None:
    with Providers.start() as providers:
        use_all(connect, providers.urls)
        providers.restart()
        assert [connect(url).ledger() for url in providers.urls.values()] == [[], [], []]


def test_the_key_window_can_be_set_at_the_start(connect: Connect) -> None:
    with Providers.start(key_window_seconds=60) as providers:
        payments = connect(providers.urls["payments"])
        assert payments.get("/settings")["key_window_seconds"] == 60


def test_stopping_frees_the_ports_and_may_be_repeated() -> None:
    providers = Providers.start()
    ports = [urlsplit(url).port for url in providers.urls.values()]
    providers.stop()
    providers.stop()
    assert providers.pid is None
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_start_that_fails_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LocalCloudError):
        Providers.start(tmp_path / "file")
    assert "FileExistsError" in capfd.readouterr().err


def test_it_dies_with_its_owner_even_when_that_is_killed() -> None:
    owner = (
        "from infra.local.providers import Providers; import time\n"
        "p = Providers.start(); print(p.pid, p.urls['flights'], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    port = urlsplit(url).port
    give_up = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port or 0)).close()
        except ConnectionRefusedError:
            break
        assert time.monotonic() < give_up, f"process {pid} still answers"
        time.sleep(0.02)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_from_a_shell_it_prints_its_urls_and_ends_quietly(
    tmp_path: Path, connect: Connect, ending: signal.Signals
) -> None:
    command = [sys.executable, "-m", "infra.local.providers", "--dir", str(tmp_path / "new" / "world")]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        use_all(connect, urls)
        process.send_signal(ending)
        rest, complaints = process.communicate(timeout=15)
    assert (process.returncode, rest, complaints) == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "new" / "world").glob("*.sqlite")) == [
        "flights.sqlite",
        "hotels.sqlite",
        "payments.sqlite",
    ]


def test_ctrl_c_is_left_to_the_owner(connect: Connect) -> None:
    with Providers.start() as providers:
        pid = providers.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        time.sleep(0.5)  # long enough for a process that minds to be gone
        assert providers.pid == pid
        assert connect(providers.urls["hotels"]).get("/health")["status"] == "ok"


def test_two_processes_with_one_directory_still_have_one_effect_per_key(tmp_path: Path, connect: Connect) -> None:
    with Providers.start(tmp_path) as one, Providers.start(tmp_path) as other:
        banks = [connect(providers.urls["payments"]) for providers in (one, other)]

        def charge(number: int) -> str:
            return str(banks[number % 2].post("/charges", CHARGE, key=f"k{number // 20}"))

        with ThreadPoolExecutor(20) as threads:
            replies = list(threads.map(charge, range(100)))
        assert len(set(replies)) == 5
        assert sorted(entry["key"] for entry in banks[0].ledger()) == ["k0", "k1", "k2", "k3", "k4"]
