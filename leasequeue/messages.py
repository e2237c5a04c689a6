"""Messages as they are stored: what dramatiq left in them is removed, what their actor says of them is added."""

from __future__ import annotations

from typing import Any

from dramatiq.actor import Actor
from dramatiq.common import q_name
from dramatiq.message import Message

from . import errors

#: Characters of a key, and of an owner.
KEY_LIMIT = 500

#: Options by which a message is part of a group or pipeline.
PARTS = ("group_completion_uuid", "pipe_target")


def completed(message: Message[Any], actor: Actor[..., Any] | None) -> Message[Any]:
    """The message without dramatiq's traces of a delay, with the key and the owner that its actor computes for it.

    Raises:
      MessageRefused: a key or owner is none, or a job with a key is part of a group or pipeline.
    """
    message = _normal(message)
    for name in ("key", "fairness_key"):
        value = message.options.get(name)
        declared = actor.options.get(name) if actor is not None else None
        if value is None and declared is not None:
            value = declared(*message.args, **message.kwargs)
            if value is not None:
                message = message.copy(options={name: value})
        if value is not None:
            _check(name, value, message)
    return message


def _check(name: str, value: Any, message: Message[Any]) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= KEY_LIMIT:
        raise errors.MessageRefused(
            f"expected {name} to be a text of 1 to {KEY_LIMIT} characters, got: {repr(value)[:100]}"
        )
    if name == "key" and (bound := [option for option in PARTS if option in message.options]):
        raise errors.MessageRefused(
            f"expected a job with a key to stand alone, got one with {', '.join(bound)}: it may be merged into "
            "another job, and its group or pipeline would wait for ever"
        )


def _normal(message: Message[Any]) -> Message[Any]:
    """A message without dramatiq's traces of a delay in worker memory: the queue's own name, no time to wait for."""
    if message.queue_name != q_name(message.queue_name) or "eta" in message.options:
        message = message.copy(queue_name=q_name(message.queue_name))
        message.options.pop("eta", None)
    return message
