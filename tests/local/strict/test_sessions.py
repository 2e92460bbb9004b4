from __future__ import annotations

from support.strict_clients import Client, Refused


def test_a_session_needs_a_running_container(strict: Client, refused: Refused) -> None:
    with refused("TargetNotConnected"):
        strict("ssm").start_session(Target="ecs:cluster_0a1b_0a1b-7")
    with refused("TargetNotConnected"):
        strict("ssm").start_session(Target="i-0123456789abcdef0")
