"""What is in a service's queues; dead letters are sent again or deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.infra.failed_schedules import dead_letter_of, schedules_of
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change, one_service
from orderops.queues.messages import QueuedMessage, delete, depth_of, held, send, url_of
from orderops.text.lists import counted, joined
from orderops.ui import console
from orderops.ui.progress import Progress
from orderops.ui.queues import show_message, show_messages, show_reasons


class Chosen(Frozen):
    """Which dead letters are meant: by id, by reason, or all."""

    ids: Sequence[str] = ()
    reason: str | None = None
    all: bool = False

    def words(self) -> list[str]:
        """The choice as it was typed. Raises UsageError unless exactly one way to choose is used."""
        if sum((bool(self.ids), self.reason is not None, self.all)) != 1:
            raise UsageError(
                "name the messages by id, by --reason, or all by --all", "list them: orderops queue dlq list"
            )
        return [
            *self.ids,
            *(["--reason", repr(self.reason)] if self.reason is not None else []),
            *(["--all"] * self.all),
        ]

    def of(self, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
        """The messages that are meant. Raises UsageError for an id that is none."""
        if unknown := set(self.ids) - {message.id for message in messages}:
            raise UsageError(
                f"no dead letter has the id {joined(sorted(unknown), max_names=2)}",
                "list them: orderops queue dlq list",
            )
        return [
            message
            for message in messages
            if self.all or message.id in self.ids or (self.reason is not None and message.reason == self.reason)
        ]


class DeadLetters(Frozen):
    """The queue of dead letters, and the option that names them."""

    queue: str
    option: str
    origin: str = ""
    """The queue that they were in; empty for starts of schedules, which were in none."""


def dead_letters_of(workspace: Workspace, service: str | None, *, schedules: bool = False) -> DeadLetters:
    """Those of a service, or of the schedules. Raises UsageError if both are named, or what does not exist."""
    env = workspace.environment.name
    if not schedules:
        base = workspace.stack.services[one_service(workspace, service)]
        return DeadLetters(base.dead_letters.name, f"--service {base.key}", base.queue.name)
    if service:
        raise UsageError("a service and the schedules have dead letters of their own", "pass one of the two options")
    if not schedules_of(workspace.environment):
        raise UsageError(f"{env} has no schedules", "they come from publish_every and rotate_days in its file")
    return DeadLetters(dead_letter_of(workspace.environment).name, "--schedules")


def show_depths(workspace: Workspace, services: Sequence[str], *, as_json: bool) -> None:
    """Show how many messages wait in the queues of services, and how many were given up."""
    document = {}
    for name in services:
        base = workspace.stack.services[name]
        depths = {
            queue.name: depth_of(workspace.aws, _url(workspace, queue.name))
            for queue in (base.queue, base.dead_letters)
        }
        document[name] = {queue: depth.to_dict() for queue, depth in depths.items()}
        if not as_json:
            width = max(map(len, depths))
            for queue, depth in depths.items():
                console.data(
                    f"{queue:{width}}  {depth.waiting} waiting, {depth.in_flight} in flight, {depth.delayed} delayed"
                )
            if depths[base.dead_letters.name].waiting:
                console.info(f"next: orderops queue dlq list --env {workspace.environment.name} --service {name}")
    if as_json:
        console.show_json(document)


def peek(workspace: Workspace, service: str, *, count: int, as_json: bool) -> None:
    """Show the first messages of a service's queue, which stay there."""
    base = workspace.stack.services[service]
    with _read(workspace, base.queue.name, most=count) as messages:
        _show(messages, as_json=as_json, empty=f"{base.queue.name} has no message that is visible now")


def list_dead_letters(workspace: Workspace, letters: DeadLetters, *, as_json: bool) -> None:
    """Show dead letters, by reason."""
    env = workspace.environment.name
    with _read(workspace, letters.queue) as messages:
        if as_json:
            console.show_json([message.to_dict() for message in messages])
        elif messages:
            show_reasons(messages)
            if letters.origin:
                console.info(f"next: orderops queue dlq replay --all {letters.option} --env {env}")
            else:
                console.info("AWS starts each schedule again when it is next due")
                console.info(f"next: orderops infra drift --env {env}")
                console.info(f"then: orderops queue dlq purge --all {letters.option} --env {env}")
        else:
            console.info(f"{letters.queue} has no dead letters")


def show_dead_letter(workspace: Workspace, letters: DeadLetters, message_id: str, *, as_json: bool) -> None:
    """Show one dead letter, with its whole body."""
    with _read(workspace, letters.queue) as messages:
        (message,) = Chosen((message_id,)).of(messages)
        if as_json:
            console.show_json(message.to_dict())
        else:
            show_message(message)


def replay(workspace: Workspace, options: ChangeOptions, service: str | None, chosen: Chosen) -> None:
    """Send dead letters to the service's queue again. Harmless to repeat: the service knows orders by their key."""
    options = options.of("queue dlq replay", *chosen.words())
    letters = dead_letters_of(workspace, service)
    _change(workspace, options, letters, chosen, ("Send", f"to {letters.origin} again", "sent again"), _send_again)


def purge(workspace: Workspace, options: ChangeOptions, letters: DeadLetters, chosen: Chosen) -> None:
    """Delete dead letters for good."""
    options = options.of("queue dlq purge", *chosen.words(), *(() if letters.origin else (letters.option,)))
    _change(workspace, options, letters, chosen, ("Delete", "for good", "deleted"), _delete_for_good, lost=True)


def _change(
    workspace: Workspace,
    options: ChangeOptions,
    letters: DeadLetters,
    chosen: Chosen,
    words: tuple[str, str, str],
    change: Callable[[Workspace, DeadLetters, Sequence[QueuedMessage]], int],
    *,
    lost: bool = False,
) -> None:
    """Show the chosen dead letters, ask, and change them in a run that is on record."""
    verb, how, done = words
    name = letters.queue
    lease = read_lease(workspace)
    with _read(workspace, name) as messages:
        wanted = chosen.of(messages)
        show_reasons(wanted)
        if options.dry_run or not wanted:
            console.info(f"{counted(len(wanted), 'dead letter')} would be {done}" if wanted else "nothing to do")
            return
        question = f"{verb} {counted(len(wanted), 'dead letter')} of {name} {how}?"
        confirm_change(workspace, question, options)
        if lost and not console.confirm_name(
            name, f"{counted(len(wanted), 'message')} are lost", given=options.confirm, yes="delete them"
        ):
            raise UsageError(f"the dead letters are kept: {name} was not confirmed", f"pass --confirm {name}")
        with locked_run(workspace, options, lease) as run:
            number = change(workspace, letters, wanted)
            run.record.note(action=done, queue=name, messages=number)
    console.info(f"{counted(number, 'dead letter')} {done}")
    if number < len(wanted):
        raise OrderopsError(f"{len(wanted) - number} were not {done}", "re-run this command")
    look = "queue status" if letters.origin else "status"
    console.info(f"next: orderops {look} --env {workspace.environment.name}")


def _send_again(workspace: Workspace, letters: DeadLetters, messages: Sequence[QueuedMessage]) -> int:
    # Deleted only after it was sent: what is interrupted between the two is sent twice, and processed once.
    target, source = _url(workspace, letters.origin), _url(workspace, letters.queue)
    number = 0
    with Progress() as progress:
        for start in range(0, len(messages), 100):
            taken = send(workspace.aws, target, messages[start : start + 100])
            delete(workspace.aws, source, taken)
            number += len(taken)
            progress.watch(letters.queue, f"{number} of {len(messages)} sent again")
    return number


def _delete_for_good(workspace: Workspace, letters: DeadLetters, messages: Sequence[QueuedMessage]) -> int:
    return len(delete(workspace.aws, _url(workspace, letters.queue), messages))


@contextmanager
def _read(workspace: Workspace, name: str, *, most: int | None = None) -> Iterator[list[QueuedMessage]]:
    # Receiving changes nothing that lasts, so it needs no run.
    aws = workspace.aws.guarded(lambda: None)
    with ExitStack() as shown:
        progress = shown.enter_context(Progress())

        def read(number: int) -> None:
            progress.watch(name, f"{number} messages read")

        with held(aws, _url(workspace, name), most=most, on_read=read) as messages:
            # The live view ends before anything is shown or asked.
            shown.close()
            yield sorted(messages, key=lambda message: message.sent_at)


def _show(messages: Sequence[QueuedMessage], *, as_json: bool, empty: str) -> None:
    if as_json:
        console.show_json([message.to_dict() for message in messages])
    elif messages:
        show_messages(messages)
    else:
        console.info(empty)


def _url(workspace: Workspace, name: str) -> str:
    url = url_of(workspace.aws, name)
    if url is None:
        raise OrderopsError(
            f"the queue {name} does not exist", f"create it: orderops infra apply --env {workspace.environment.name}"
        )
    return url
