"""librdkafka, by confluent-kafka."""

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, OFFSET_BEGINNING

from lines import emit, emit_record, input_ended, main, read_records


def produce(bootstrap, topic, options):
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "compression.type": options["codec"],
        "enable.idempotence": options.get("idempotent") == "true",
        "acks": "all",
        "linger.ms": 5,
    })
    failed = []

    def send(index, record):
        def delivered(err, message):
            if err:
                failed.append(err)
            else:
                emit("acked", index=index, partition=message.partition(), offset=message.offset())

        producer.produce(topic, record["value"], record["key"], record["partition"], on_delivery=delivered,
                         timestamp=record["timestamp"], headers=record["headers"])

    for index, record in enumerate(read_records()):
        send(index, record)
        producer.poll(0)
    if producer.flush(60) or failed:
        raise KafkaException(*failed or ["not all was delivered in a minute"])


def consumer_for(bootstrap, options):
    return Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": options.get("group", "none"),
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "cooperative-sticky" if options.get("strategy") == "cooperative" else "range",
    })


def consume(bootstrap, topic, options):
    consumer = consumer_for(bootstrap, options)
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    starts = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions]
    if options.get("from") == "time":
        starts = consumer.offsets_for_times([TopicPartition(topic, p, int(options["time"])) for p in partitions], 30)
        for start in starts:
            emit("start", partition=start.partition, offset=start.offset)
    consumer.assign(starts)
    read(consumer, int(options["count"]))
    consumer.close()


def read(consumer, count):
    for message in consumer.consume(count, 60):
        show(message)


def show(message):
    if message.error():
        raise KafkaException(message.error())
    emit_record(message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(), message.headers())


def group(bootstrap, topic, options):
    consumer = consumer_for(bootstrap, options)

    def say(what):
        return lambda _, partitions: emit(what, partitions=[p.partition for p in partitions])

    consumer.subscribe([topic], on_assign=say("assigned"), on_revoke=say("revoked"), on_lost=say("revoked"))
    left, ended = int(options.get("count", 0)), input_ended()
    while left > 0 or not ("count" in options or ended.is_set()):
        messages = consumer.consume(left if "count" in options else 100, 0.1)
        for message in messages:
            show(message)
        if messages:
            commit(consumer)
        left -= len(messages)
    consumer.close()
    emit("left")


REBALANCING = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION)


def commit(consumer):
    """Commits what was read, unless the group rebalances: the next commit covers this one."""
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as err:
        if err.args[0].code() not in REBALANCING:
            raise


main({"produce": produce, "consume": consume, "group": group})
