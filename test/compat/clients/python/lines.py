"""The command line and the lines of JSON that every client program shares: see ../README.md."""

import base64
import json
import os
import sys
import threading
import time

_out = threading.Lock()


def emit(event, **fields):
    fields.update(event=event, at=time.time_ns() // 1000)
    with _out:
        print(json.dumps(fields), flush=True)


def _text(data):
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text):
    return None if text is None else base64.b64decode(text)


def read_records():
    for line in sys.stdin:
        record = json.loads(line)
        record["key"] = _bytes(record["key"])
        record["value"] = _bytes(record["value"])
        record["headers"] = [(h["key"], _bytes(h["value"])) for h in record["headers"] or []]
        yield record


def emit_record(partition, offset, timestamp, key, value, headers):
    emit("record", partition=partition, offset=offset, timestamp=timestamp, key=_text(key), value=_text(value),
         headers=[{"key": k, "value": _text(v)} for k, v in headers or []])


def answer(text):
    """Says what a step of the admin verb came to."""
    emit("answer", message=text)


def input_ended():
    """An event that is set when standard input ends: the sign to leave."""
    ended = threading.Event()

    def wait():
        while os.read(0, 4096):
            pass
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def main(verbs):
    """Runs the verb that the command line names, with (bootstrap, topic, options)."""
    verb, bootstrap, topic = sys.argv[1:4]
    options = dict(option.split("=", 1) for option in sys.argv[4:])
    try:
        verbs[verb](bootstrap, topic, options)
    except Exception as err:  # the test shows it
        emit("error", message=repr(err))
        sys.exit(1)
