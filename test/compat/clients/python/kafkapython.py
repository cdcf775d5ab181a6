"""kafka-python."""

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from lines import answer, emit, emit_record, input_ended, main, read_records


def produce(bootstrap, topic, options):
    codec = options["codec"]
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=options.get("idempotent") == "true",
        acks="all",
        linger_ms=5,
    )
    sent = [
        producer.send(topic, record["value"], record["key"], partition=record["partition"],
                      timestamp_ms=record["timestamp"], headers=record["headers"])
        for record in read_records()
    ]
    for index, future in enumerate(sent):
        done = future.get(60)
        emit("acked", index=index, partition=done.partition, offset=done.offset)
    producer.close()


def consume(bootstrap, topic, options):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        group_id=None,
        isolation_level="read_committed" if options.get("isolation") == "committed" else "read_uncommitted",
    )
    partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    if options.get("from") == "time":
        for partition, found in consumer.offsets_for_times({p: int(options["time"]) for p in partitions}).items():
            if found is None:
                consumer.seek_to_end(partition)
                found_offset = -1
            else:
                consumer.seek(partition, found.offset)
                found_offset = found.offset
            emit("start", partition=partition.partition, offset=found_offset)
    left = int(options["count"])
    while left > 0:
        left -= show(consumer.poll(500))
    consumer.close()


def show(polled):
    """Prints what a poll returned; returns how many records that were."""
    records = [record for of_partition in polled.values() for record in of_partition]
    for r in records:
        emit_record(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
    return len(records)


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        emit("assigned", partitions=[p.partition for p in assigned])

    def on_partitions_revoked(self, revoked):
        emit("revoked", partitions=[p.partition for p in revoked])


def group(bootstrap, topic, options):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=options["group"],
        group_instance_id=options.get("instance"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=500,
        partition_assignment_strategy=[RangePartitionAssignor],
    )
    consumer.subscribe([topic], listener=Listener())
    # A consumer that joins before it knows the partitions joins once more as it learns of them, and forgets that
    # it does where a poll returns meanwhile.
    while not consumer.partitions_for_topic(topic):
        pass
    left, ended = int(options.get("count", 0)), input_ended()
    while left > 0 or not ("count" in options or ended.is_set()):
        read = show(consumer.poll(100, max_records=left if "count" in options else 100))
        if read:
            consumer.commit()
        left -= read
    consumer.close(autocommit=False)
    emit("left")


def copy(bootstrap, topic, options):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=options["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=options["id"])
    producer.init_transactions()
    left = int(options["count"])

    def write(polled):
        producer.begin_transaction()
        for records in polled.values():
            for r in records:
                producer.send(options["to"], r.value, r.key, partition=r.partition, timestamp_ms=r.timestamp, headers=r.headers)
        offsets = {p: OffsetAndMetadata(records[-1].offset + 1, "", -1) for p, records in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())

    while left > 0:
        polled = consumer.poll(500, max_records=10)
        if not polled:
            continue
        write(polled)
        producer.flush(60)
        producer.abort_transaction()
        write(polled)
        producer.commit_transaction()
        count = sum(len(records) for records in polled.values())
        left -= count
        emit("copied", index=count)
    producer.close()
    consumer.close(autocommit=False)
    emit("left")


def admin(bootstrap, topic, _):
    client, kept = KafkaAdminClient(bootstrap_servers=bootstrap), TopicPartition(topic + "-kept", 0)
    client.create_topics({topic: {"num_partitions": 2, "replication_factor": 1, "configs": {"retention.ms": "3600000"}}})
    count = lambda: len(client.describe_topics([topic])[0]["partitions"])
    answer(f"created {count()}")
    try:
        client.create_topics([topic])
    except TopicAlreadyExistsError as err:
        answer(f"again {err.errno}")
    client.create_partitions({topic: 4})
    answer(f"grown to {count()}")
    for _ in range(2):
        found = client.describe_configs([ConfigResource("topic", topic)])["topic"][topic]
        answer(f"retention.ms {found['retention.ms']['value']}")
        client.alter_configs([ConfigResource("topic", topic, configs={"retention.ms": "7200000"})])
    client.delete_records({kept: 5})
    offset = lambda spec: client.list_partition_offsets({kept: spec})[kept].offset
    answer(f"kept {offset(OffsetSpec.EARLIEST)} to {offset(OffsetSpec.LATEST)}")
    committed = lambda: client.list_group_offsets({topic: None})[topic][kept].offset
    answer(f"group {client.describe_groups([topic])[topic]['group_state']} at {committed()}")
    client.alter_group_offsets(topic, {kept: OffsetAndMetadata(7, "", -1)})
    answer(f"group at {committed()}")
    client.delete_groups([topic])
    if topic not in [g["group_id"] for g in client.list_groups()]:
        answer("group gone")
    answer(f"brokers {len(client.describe_cluster()['brokers'])}")
    client.delete_topics([topic])
    if topic not in client.list_topics():
        answer("topic gone")
    client.close()


main({"produce": produce, "consume": consume, "group": group, "copy": copy, "admin": admin})
