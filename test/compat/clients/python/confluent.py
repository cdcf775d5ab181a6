"""librdkafka, by confluent-kafka."""

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition,
                             OFFSET_BEGINNING)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)

from lines import answer, emit, emit_record, input_ended, main, read_records


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
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": options.get("group", "none"),
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed" if options.get("isolation") == "committed" else "read_uncommitted",
    }
    if "instance" in options:
        config["group.instance.id"] = options["instance"]
    if options.get("strategy") == "consumer":
        config["group.protocol"] = "consumer"
    else:
        config["heartbeat.interval.ms"] = 500
        config["partition.assignment.strategy"] = "cooperative-sticky" if options.get("strategy") == "cooperative" else "range"
    return Consumer(config)


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


LATER = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH,
         KafkaError._NO_OFFSET)  # the first records after a reset have none


def commit(consumer):
    """Commits what was read, unless that is not to be now: the next commit covers this one."""
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as err:
        if err.args[0].code() not in LATER:
            raise


def copy(bootstrap, topic, options):
    consumer = consumer_for(bootstrap, {**options, "isolation": "committed"})
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": options["id"]})
    producer.init_transactions(60)
    consumer.subscribe([topic])
    left = int(options["count"])

    def write(messages):
        producer.begin_transaction()
        next_offset = {}
        for m in messages:
            producer.produce(options["to"], m.value(), m.key(), m.partition(), timestamp=m.timestamp()[1], headers=m.headers())
            next_offset[m.partition()] = m.offset() + 1
        offsets = [TopicPartition(topic, p, offset) for p, offset in next_offset.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 60)

    while left > 0:
        messages = consumer.consume(10, 0.5)
        if not messages:
            continue
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        write(messages)
        producer.flush(60)
        producer.abort_transaction(60)
        write(messages)
        producer.commit_transaction(60)
        left -= len(messages)
        emit("copied", index=len(messages))
    consumer.close()
    emit("left")


def only(futures):
    """The one result of what an admin client asked for."""
    (future,) = futures.values()
    return future.result(30)


def admin(bootstrap, topic, _):
    client, kept = AdminClient({"bootstrap.servers": bootstrap}), topic + "-kept"
    retention = {"retention.ms": "3600000"}
    only(client.create_topics([NewTopic(topic, 2, 1, config=retention)], operation_timeout=30))
    count = lambda: len(client.list_topics(topic, 30).topics[topic].partitions)
    answer(f"created {count()}")
    try:
        only(client.create_topics([NewTopic(topic, 2, 1)]))
    except KafkaException as err:
        answer(f"again {err.args[0].code()}")
    only(client.create_partitions([NewPartitions(topic, 4)], operation_timeout=30))
    answer(f"grown to {count()}")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    for _ in range(2):
        answer(f"retention.ms {only(client.describe_configs([resource]))['retention.ms'].value}")
        change = [ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)]
        only(client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=change)]))
    only(client.delete_records([TopicPartition(kept, 0, 5)]))
    offset = lambda spec: only(client.list_offsets({TopicPartition(kept, 0): spec})).offset
    answer(f"kept {offset(OffsetSpec.earliest())} to {offset(OffsetSpec.latest())}")
    admin_group(client, topic, kept)
    answer(f"brokers {len(client.describe_cluster().result(30).nodes)}")
    only(client.delete_topics([topic], operation_timeout=30))
    if topic not in client.list_topics(timeout=30).topics:
        answer("topic gone")


def admin_group(client, name, kept):
    committed = lambda: only(client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])).topic_partitions[0].offset
    state = only(client.describe_consumer_groups([name])).state.name.capitalize()
    answer(f"group {state} at {committed()}")
    only(client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, [TopicPartition(kept, 0, 7)])]))
    answer(f"group at {committed()}")
    only(client.delete_consumer_groups([name]))
    if name not in [g.group_id for g in client.list_consumer_groups().result(30).valid]:
        answer("group gone")


main({"produce": produce, "consume": consume, "group": group, "copy": copy, "admin": admin})
