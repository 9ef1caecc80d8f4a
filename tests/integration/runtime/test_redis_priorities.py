"""Redis as the broker takes the important first."""

from __future__ import annotations

from typing import Any

from kombu import Connection, Consumer, Exchange, Producer, Queue

from selfheal_project import env


def test_the_important_is_taken_first(redis_url: str) -> None:
    """Critical before default before non-critical, the oldest first, from whichever queue of the worker."""
    numbers = dict(zip("cdn", env.message_priorities(redis_url), strict=True))
    received: list[Any] = []

    def take(body: Any, message: Any) -> None:
        received.append(body)
        message.ack()

    with Connection(redis_url, transport_options=env.broker_options(redis_url)) as connection:
        queues = [Queue(name, Exchange(name), routing_key=name) for name in ("one", "two")]
        for queue in queues:
            queue(connection.channel()).declare()
            producer = Producer(connection.channel(), queue.exchange, queue.name)
            for body in ("n1", "d1", "c1", "n2", "d2", "c2"):
                producer.publish(body, priority=numbers[body[0]], serializer="json")
        with Consumer(connection.channel(), queues, callbacks=[take], accept=["json"]) as consumer:
            consumer.qos(prefetch_count=1)
            for _ in range(12):
                connection.drain_events(timeout=10)
    assert [body[0] for body in received] == list("ccccddddnnnn")
    assert [body for body in received if body[0] == "c"] in (
        ["c1", "c1", "c2", "c2"],
        ["c1", "c2", "c1", "c2"],
    )
