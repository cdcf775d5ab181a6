"""A producer of librdkafka: sends a number every 10 ms, as text, until its input ends. It prints a line "N OFFSET" for
each that is acknowledged, and fails with what refused one. Arguments: bootstrap servers, topic, partition."""

import sys
import threading
import time

from confluent_kafka import Producer

PERIOD = 0.01  # s

bootstrap, topic, partition = sys.argv[1], sys.argv[2], int(sys.argv[3])
# As it comes it waits 60 s for the answer of a node that hangs, 5 minutes at most for a record, and up to 10 s before it
# connects again to a node that was away a moment ago and may lead by now.
producer = Producer({
    "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "message.timeout.ms": 0,
    "socket.timeout.ms": 1000, "reconnect.backoff.max.ms": 200,
})
failures = []


def told(number):
    def delivered(err, message):
        if err:
            failures.append(err)
        else:
            print(number, message.offset(), flush=True)

    return delivered


ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
number, due = 0, time.monotonic()
while not ended.is_set() and not failures:
    producer.produce(topic, str(number), partition=partition, on_delivery=told(number))
    number, due = number + 1, due + PERIOD
    while (left := due - time.monotonic()) > 0 and not ended.is_set():
        producer.poll(left)
if producer.flush(60) or failures:
    sys.exit(f"not all is acknowledged: {failures or 'after a minute'}")
