"""How much a long queue slows the laptop's SQS: 1,000 messages received and deleted beside 100 and 100,000 others.

    python benchmarks/long_queue.py
    python benchmarks/long_queue.py --messages 20000

Plain moto gets as many messages as it can bear, and a hundred of its receives are measured. Calls go over HTTP with
one client, one message a call, and the queues take turns, so that a busy machine slows each of them alike.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops import local
from orderops.local.users import scratch
from support.laptop import Laptop

SHORT = 100
MOTO = 1_000
RECEIVES = 1_000
OF_MOTO = 100
ROUNDS = 10


def main() -> None:
    """Print the duration of a receive and a delete for each queue, and its ratio to the short queue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="number of messages in the long queue")
    arguments = parser.parse_args()
    with scratch("orderops-benchmark-") as folder, moto_server() as moto:
        laptop = Laptop(folder, local.start(Laptop.region, folder))
        try:
            measure(laptop.client("sqs"), moto, arguments.messages)
        finally:
            local.reset(folder)


def measure(sqs: Any, moto: Any, messages: int) -> None:
    queues = {
        f"laptop, {SHORT:,} messages": (sqs, "short", SHORT, RECEIVES),
        f"laptop, {messages:,} messages": (sqs, "long", messages, RECEIVES),
        f"plain moto, {SHORT:,} messages": (moto, "short", SHORT, OF_MOTO),
        f"plain moto, {MOTO:,} messages": (moto, "long", MOTO, OF_MOTO),
    }
    urls = {}
    for label, (client, name, depth, _) in queues.items():
        urls[label] = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "43200"})["QueueUrl"]
        fill(client, urls[label], depth)
        print(f"filled: {label}", flush=True)
    took = dict.fromkeys(queues, 0.0)
    for _ in range(ROUNDS):
        for label, (client, _, _, receives) in queues.items():
            count = receives // ROUNDS
            begun = time.perf_counter()
            for _ in range(count):
                (message,) = client.receive_message(QueueUrl=urls[label])["Messages"]
                client.delete_message(QueueUrl=urls[label], ReceiptHandle=message["ReceiptHandle"])
            took[label] += time.perf_counter() - begun
            fill(client, urls[label], count)
    averages = {label: 1000 * took[label] / receives for label, (*_, receives) in queues.items()}
    shortest = averages[f"laptop, {SHORT:,} messages"]
    for label, milliseconds in averages.items():
        print(f"{label:28} {milliseconds:8.2f} ms a receive and delete, {milliseconds / shortest:6.2f} times")


def fill(client: Any, url: str, count: int) -> None:
    """Send so many messages of 200 bytes."""
    for start in range(0, count, 10):
        numbers = range(start, min(start + 10, count))
        entries = [{"Id": str(number), "MessageBody": f"{number:0200}"} for number in numbers]
        client.send_message_batch(QueueUrl=url, Entries=entries)


@contextmanager
def moto_server() -> Iterator[Any]:
    """Yield a client of a plain emulator in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = boto3.Session("test", "test", region_name=Laptop.region).client(
            "sqs", endpoint_url=f"http://127.0.0.1:{port}"
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                client.list_queues()
                break
            except BotoCoreError:
                if time.monotonic() > deadline:
                    raise
        yield client
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
