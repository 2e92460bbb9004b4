"""A process with the laptop's daemon loaded, which forks one at each request: moto takes two seconds to import.

Reads one JSON request a line and writes one answer a line: `{"argv", "cwd", "log", "environ"}` starts a daemon and
answers its pid, `{"poll": pid}` answers its exit code, or null while it runs. Ends with its input.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from orderops.local import daemon
from support.copied_clusters import copy_clusters
from support.late_grammars import build_grammars_late

SERVICES = (
    *("applicationautoscaling", "cloudwatch", "ec2", "ecr", "ecs", "elbv2", "events", "iam", "kms", "logs", "rds"),
    *("resourcegroupstaggingapi", "s3", "secretsmanager", "servicequotas", "sns", "sqs", "ssm", "sts"),
)


def main() -> None:
    """Load everything, then fork a daemon for each request."""
    # As the daemon does before it imports moto, which reads its settings then.
    daemon._set_up_environment("ap-southeast-2")
    daemon._share_aws_models()
    build_grammars_late()
    from moto.backends import get_backend

    import orderops.local.data_plane
    import orderops.local.strict  # noqa: F401 - for the import

    for service in SERVICES:
        get_backend(service)
    copy_clusters()
    # A search for cycles would copy the pages that all children share.
    gc.freeze()
    exit_codes: dict[int, int] = {}
    # At once: a daemon that has ended and is not waited for looks alive.
    signal.signal(signal.SIGCHLD, lambda *_: _collect(exit_codes))
    for line in sys.stdin:
        request = json.loads(line)
        answer = exit_codes.get(request["poll"]) if "poll" in request else _fork(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _collect(exit_codes: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            exit_codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def _fork(request: dict[str, Any]) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir(request["cwd"])
        nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for file, number in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file, number)
        os.environ.clear()
        os.environ.update(request["environ"])
        from moto.moto_api._internal import mock_random

        # Otherwise all daemons would give the same ids.
        mock_random.seed()
        sys.argv = ["orderops.local.daemon", *request["argv"]]
        daemon.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
