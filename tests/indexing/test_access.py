"""Which hosts and directories a job may read: public ones, and what the operator allows."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from git_repositories import Repository
from index_database import Index

from indexing.access import Access
from indexing.errors import RepositoryRefused, TransientIndexError

Make = Callable[..., Repository]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name server says; no other name has an address."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_options: Any) -> list[Any]:
        if host in known:
            return [(0, 0, 0, "", (address, port)) for address in known[host]]
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        return [(0, 0, 0, "", (host, port))]

    monkeypatch.setattr("indexing.access.socket.getaddrinfo", look_up)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::1",
    ],
)
def test_an_address_that_is_not_public_is_refused_however_it_is_named(
    names: dict[str, list[str]], address: str
) -> None:
    names["inside.example"] = ["93.184.216.34", address]
    literal = f"[{address}]" if ":" in address else address
    for url in (
        "https://inside.example/x",
        "ssh://git@inside.example:2222/x",
        "git@inside.example:x",
        f"https://{literal}/x",
        f"ssh://git@{literal}/x",
    ):
        with pytest.raises(RepositoryRefused, match="public address"):
            Access().to(url)


def test_the_address_that_was_checked_is_the_one_that_is_used(names: dict[str, list[str]]) -> None:
    names["git.example"] = ["93.184.216.34"]
    names["six.example"] = ["2606:2800:220:1::1"]
    assert "http.curloptResolve=git.example:443:93.184.216.34" in Access().to("https://Git.Example/x").options
    assert "http.curloptResolve=git.example:8443:93.184.216.34" in Access().to("https://git.example:8443/x").options
    assert "http.curloptResolve=six.example:443:[2606:2800:220:1::1]" in Access().to("https://six.example/x").options
    assert Access().to("git@git.example:x").ssh_options == [
        *("-o", "HostName=93.184.216.34"),
        *("-o", "HostKeyAlias=git.example"),
    ]
    assert "HostKeyAlias=[git.example]:2222" in Access().to("ssh://git@git.example:2222/x").ssh_options


def test_a_host_or_a_network_can_be_allowed(names: dict[str, list[str]]) -> None:
    names["git.internal"] = ["10.1.2.3"]
    assert Access(allowed_hosts=("git.internal",)).to("https://git.internal/x").address is None
    assert Access(allowed_hosts=("10.0.0.0/8",)).to("git@git.internal:x").address == "10.1.2.3"
    with pytest.raises(RepositoryRefused):
        Access(allowed_hosts=("10.2.0.0/16", "other.internal")).to("https://git.internal/x")


def test_a_host_without_an_address_may_have_one_later(names: dict[str, list[str]]) -> None:
    with pytest.raises(TransientIndexError, match="address for the host"):
        Access().to("https://nowhere.example/x")


def test_a_proxy_looks_names_up_itself_and_is_not_sent_to_this_machine(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert Access().to("https://git.example/x").address is None
    for url in ("https://localhost/x", "https://a.localhost/x", "https://169.254.169.254/x"):
        with pytest.raises(RepositoryRefused):
            Access().to(url)


def test_a_refused_host_is_not_even_asked_for_its_head(index: Index) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        with pytest.raises(RepositoryRefused):
            index.run(f"https://127.0.0.1:{listening.getsockname()[1]}/x")
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_directory_outside_of_the_allowed_ones_is_refused_also_through_a_link(
    index: Index, make_repository: Make, tmp_path: Path
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"}, "allowed/repository")
    outside = make_repository({"a.py": ""}, "outside")
    (tmp_path / "allowed/link").symlink_to(outside.path)
    index.access = Access(local_directories=(str(tmp_path / "allowed"),))
    assert index.run(repository.url).symbols_extracted == 1
    for path in (outside.url, f"{tmp_path}/allowed/link", f"{tmp_path}/allowed/../outside"):
        with pytest.raises(RepositoryRefused, match="below one of"):
            index.run(path)
