"""Who gets the page: the owner's own browser, on this machine, and no other."""

import http.client
import re
import socket
import subprocess
from pathlib import Path

import pytest
from browser import LESSON, ScriptedLab, answers, checkout, served

from harness.page.owner import HEADERS


@pytest.fixture(scope="module")
def served_page(tmp_path_factory):
    """Port and key of a page, for all tests here."""
    root = checkout(tmp_path_factory.mktemp("checkout"))
    with served(ScriptedLab(lambda run, files: answers(run, {})), root) as server:
        yield re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?key=(.*)", server.address).groups()


def ask(port, path, method="GET", **headers):
    """Status, headers, text."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=names)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


@pytest.fixture(scope="module")
def cookie(served_page):
    port, key = served_page
    status, headers, _ = ask(port, f"/?key={key}")
    assert (status, headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(headers["set-cookie"].split("; "))
    return headers["set-cookie"].split(";")[0]


PATHS = ("/", "/course", "/docs/index", "/static/page.js", "/screens/verify.svg", f"/made/{LESSON}/0", "/events")


@pytest.mark.parametrize("path", [*PATHS, "/?key=", "/?key=wrong", "/course?key=wrong"])
def test_without_the_cookie_nothing_is_shown(served_page, path):
    status, headers, text = ask(served_page[0], path)
    assert status == 403
    assert "set-cookie" not in headers
    assert "kprobe" not in text


def test_the_key_opens_the_first_address_alone(served_page):
    port, key = served_page
    assert ask(port, f"/course?key={key}")[0] == 403


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "localhost.example.org", "", "[::1]"])
def test_a_name_of_another_host_is_refused(served_page, cookie, host):
    assert ask(served_page[0], "/course", Host=host, Cookie=cookie)[0] in (400, 421)


def test_a_forwarded_port_is_served(served_page, cookie):
    assert ask(served_page[0], "/course", Host="localhost:9999", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("origin", ["http://example.org", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/ask/hint"), ("GET", "/events")])
def test_another_sites_request_is_refused(served_page, cookie, origin, method, path):
    given = origin.format(port=served_page[0])
    assert ask(served_page[0], path, method, Cookie=cookie, Origin=given)[0] == 403


def test_an_ask_without_an_origin_is_refused(served_page, cookie):
    assert ask(served_page[0], "/ask/hint", "POST", Cookie=cookie)[0] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [("/ask/hint", 204), ("/ask/save", 404), ("/ask/quit", 404), ("/ask/x", 404), ("/ask/hint?lesson=x", 404)],
)
def test_an_ask_of_the_page_is_taken(served_page, cookie, path, status):
    port = served_page[0]
    assert ask(port, path, "POST", Cookie=cookie, Origin=f"http://127.0.0.1:{port}")[0] == status


@pytest.mark.parametrize(
    "path", ["/docs/..%2F..%2Fetc%2Fpasswd", "/docs/nothing", "/screens/..%2F..%2FREADME.md", "/static/..%2Fapp.py"]
)
def test_no_other_file_is_served(served_page, cookie, path):
    assert ask(served_page[0], path, Cookie=cookie)[0] == 404


@pytest.mark.parametrize("path", ["/", "/course", "/nothing", "/static/page.css", "/screens/verify.svg"])
def test_each_answer_has_its_policy(served_page, cookie, path):
    _, headers, _ = ask(served_page[0], path, Cookie=cookie)
    assert {name: headers[name] for name in HEADERS} == HEADERS


def test_only_a_loopback_port_is_open(served_page):
    """As the kernel lists it: one listening socket of ours, on 127.0.0.1."""
    inodes = {link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and sockets(link)}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[number] for number in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in inodes:
                listening.append(local)
    assert listening == [f"0100007F:{int(served_page[0]):04X}"]


def sockets(link):
    try:
        return str(link.readlink()).startswith("socket:")
    except OSError:
        return False


def test_a_port_in_use_is_no_obstacle(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with served(ScriptedLab(lambda run, files: answers(run, {})), checkout(tmp_path), port=taken) as server:
            assert f":{taken}/" not in server.address


def test_the_script_stays_small():
    lines = (Path(__file__).parent.parent / "harness/page/static/page.js").read_text().splitlines()
    assert len(lines) <= 200


def test_no_page_is_asked_of_another_host():
    """Sources of the page name no other host."""
    page = Path(__file__).parent.parent / "harness"
    found = subprocess.run(
        ["grep", "-rnE", "(https?|wss?)://", page / "page/static", page / "templates/page"],
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert [line for line in found.splitlines() if "http://www.w3.org/2000/svg" not in line] == []
