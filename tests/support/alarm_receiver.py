"""A receiver of pages on loopback: confirms its subscription, and accepts only what AWS documents for alarms."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The members of an HTTP notification, and of the message of a composite alarm (SNS and CloudWatch user guides).
ENVELOPE = {"Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature"}
ALARM = {
    "AlarmName",
    "AlarmDescription",
    "AWSAccountId",
    "NewStateValue",
    "NewStateReason",
    "OldStateValue",
    "AlarmArn",
}


@dataclass
class AlarmReceiver:
    """What arrived, oldest first."""

    url: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Why a body was refused, with 400."""
    status: int = 200

    @property
    def states(self) -> list[tuple[str, str]]:
        """Alarm and state of each message."""
        return [(message["AlarmName"], message["NewStateValue"]) for message in self.messages]


@contextmanager
def alarm_receiver() -> Iterator[AlarmReceiver]:
    """Listen on a free port."""
    receiver = AlarmReceiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            envelope = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = receiver.status
            if self.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
                urllib.request.urlopen(envelope["SubscribeURL"]).close()
            elif fault := _fault(envelope, self.headers["x-amz-sns-message-type"]):
                receiver.wrong.append(fault)
                status = 400
            elif status == 200:
                receiver.messages.append(json.loads(envelope["Message"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/integration/{'0' * 32}/enqueue"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _fault(envelope: dict[str, Any], kind: str | None) -> str:
    if kind != "Notification" or envelope.get("Type") != "Notification":
        return f"type {kind}"
    if missing := ENVELOPE - envelope.keys():
        return f"the envelope has no {sorted(missing)}"
    if len(envelope["Subject"]) > 100:
        return "a long subject"
    message = json.loads(envelope["Message"])
    if missing := ALARM - message.keys():
        return f"the message has no {sorted(missing)}"
    composite = {"AlarmRule", "TriggeringChildren"} <= message.keys()
    return "" if composite is not ("Trigger" in message) else "neither a metric alarm nor a composite one"
