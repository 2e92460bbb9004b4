"""Background process of the local environment: the emulator and its data plane.

Run as `python -m orderops.local.daemon --directory DIR --region REGION`; `orderops.local.start` does.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import psutil

from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory
from orderops.local.emulator.protocol import Environ, Request, Response
from orderops.local.keys import AccessKey, find_task_key
from orderops.local.ports import free_port

# Seconds between two looks at the account. Below half a second, a change seems to take effect at once.
TICK = 0.2
log = logging.getLogger("orderops.local")


def main() -> None:
    """Run the local environment until SIGTERM; leave a start error in the data directory for the client."""
    parser = argparse.ArgumentParser(prog="orderops.local.daemon")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--region", required=True)
    arguments = parser.parse_args()
    files = DataDirectory(arguments.directory)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # httpx logs every request at INFO: each forwarded request would be in the log twice.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Two commands may start a daemon at the same time. The one without the lock exits with 0, which the client
    # understands.
    lock = files.try_lock("daemon")
    if lock is None:
        return
    try:
        Daemon(files, arguments.region).run()
    except OrderopsError as error:
        log.error("%s", error.message)
        files.record_start_error(error)
        sys.exit(1)
    logging.shutdown()
    # Everything is written. A regular interpreter shutdown spends another second freeing the emulator's memory.
    os._exit(0)


class Daemon:
    """Emulator, state file and data plane in one process."""

    def __init__(self, files: DataDirectory, region: str) -> None:
        # moto reads its settings at import. The operator's AWS settings must not reach it.
        self.strict = not files.plain
        _set_up_environment(region)
        _share_aws_models()
        from orderops.local.data_plane import DataPlane
        from orderops.local.emulator import moto_models as models
        from orderops.local.emulator.persistence import StateFile
        from orderops.local.emulator.server import Emulator
        from orderops.local.sqs.api import SqsMessages
        from orderops.local.strict import DEFAULT_DELAYS, make_strict, patch

        models.install()
        models.DBInstance.backup_lag = files.backup_lag
        self.files = files
        self.region = region
        self.emulator = Emulator()
        self.state_file = StateFile(files.state, self.emulator.lock, lambda: self.plane.records())
        self.messages = SqsMessages(self.emulator, files.messages)
        deliver = self.messages.deliver
        self.plane = DataPlane(files, self.emulator, self.state_file.touch, self.state_file.write, deliver)
        if self.strict:
            make_strict(self.emulator, DEFAULT_DELAYS, self.messages)
        else:
            patch(self.emulator, self.messages)
        self._stopping = threading.Event()
        self._wake = threading.Event()

    def run(self) -> None:
        from orderops.local.ecs.launch import EmulatorAccess
        from orderops.local.emulator.admission import Admission
        from orderops.local.emulator.persistence import load

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        port, key = self.files.port or free_port(), self.files.keep_key()
        # Before the port is open.
        self.emulator.admission = Admission(port, self._find_key(key))
        server = self.emulator.serve(port)
        self.files.keep_port(port)
        self.plane.resume(load(self.files.state), EmulatorAccess(f"http://127.0.0.1:{port}", key))
        self.messages.resume()
        self.emulator.pages["/orderops/status"] = self._status
        self.emulator.pages["/orderops/credentials"] = self._credentials
        self.emulator.pages["/orderops/replay"] = self._replay
        self.emulator.pages["/orderops/save"] = self._save
        self.emulator.changed.append(self._changed)
        self.state_file.start()
        # moto's modules and AWS's models live as long as the process: searching them for cycles slows every request.
        gc.freeze()
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), name="emulator", daemon=True)
        serving.start()
        self.files.clear_last_save()
        self._announce(f"http://127.0.0.1:{port}")
        log.info("the local environment answers at http://127.0.0.1:%d", port)
        try:
            self._watch()
        finally:
            log.info("stopping")
            try:
                self.plane.close()
                server.shutdown()
                self.messages.shut()
            finally:
                self._save_at_end()
            log.info("stopped")

    def _announce(self, url: str) -> None:
        created = psutil.Process().create_time()
        info = {"pid": os.getpid(), "created": created, "url": url, "region": self.region, "strict": self.strict}
        self.files.announce(info)

    def _find_key(self, operator: AccessKey) -> Callable[[str], AccessKey | None]:
        from orderops.local.emulator.issued_keys import find_issued_key

        def find(key_id: str) -> AccessKey | None:
            if key_id == operator.id:
                return operator
            if key := find_task_key(operator, key_id):
                return key
            with self.emulator.lock:
                return find_issued_key(key_id)

        return find

    def _save_at_end(self) -> None:
        report = self.state_file.close().to_dict()
        # For the command that waits. On a full disk it finds no report, and does not call the state kept either.
        with suppress(OSError):
            self.files.record_last_save(report)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self.plane.tick()
            except Exception:
                log.exception("error in the data plane")
            self._wake.wait(TICK)
            self._wake.clear()

    def _changed(self, request: Request) -> None:
        self.state_file.touch()
        # These services have real processes: look at the account now instead of at the next tick.
        if request.service in ("rds", "ecs", "elasticloadbalancing", "secretsmanager", "application-autoscaling"):
            self.plane.wake()
            self._wake.set()

    def _status(self, _environ: Environ) -> Response:
        state = self.state_file.report.to_dict()
        fixed = {"directory": str(self.files.directory), "region": self.region}
        return _json({**fixed, "state": state, **self.plane.status()})

    def _save(self, _environ: Environ) -> Response:
        return _json(self.state_file.save(verify=True).to_dict())

    def _replay(self, environ: Environ) -> Response:
        verb, _, name = environ.get("QUERY_STRING", "").partition("=")
        return _json({"problem": self.plane.pause_replay(unquote(name), paused=verb == "pause")})

    def _credentials(self, environ: Environ) -> Response:
        return _json(self.plane.credentials(environ.get("QUERY_STRING", "")))


def _json(value: object) -> Response:
    return Response(200, json.dumps(value).encode(), [("Content-Type", "application/json")])


def _share_aws_models() -> None:
    # moto opens a session for each partition of AWS at import, and each would parse EC2's model of several MB again:
    # a third of the time in which this process starts.
    import botocore.session
    from botocore.loaders import create_loader

    loader = create_loader()
    botocore.session.create_loader = lambda *_: loader


def _set_up_environment(region: str) -> None:
    # AWS_PROFILE or AWS_ENDPOINT_URL of the operator would send the emulator's own clients to the real AWS.
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_", "TEST_SERVER"))]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION=region,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        # Roles of ECS refer to AWS managed policies. The images of EC2 are never used, and loading them takes a second.
        MOTO_IAM_LOAD_MANAGED_POLICIES="true",
        MOTO_EC2_LOAD_DEFAULT_AMIS="false",
    )


if __name__ == "__main__":
    main()
