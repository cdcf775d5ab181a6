// kafkajs, by the command line of ../README.md.

import { randomUUID } from "node:crypto";
import kafkajs from "kafkajs";
import { codecs } from "./codecs.js";
import { bytes, emit, exit, inputEnded, readRecords, text } from "./lines.js";

const { ConfigResourceTypes, Kafka, logLevel } = kafkajs;
const [verb, bootstrap, topic, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.map((option) => option.split(/=(.*)/s)));
const kafka = new Kafka({ brokers: [bootstrap], clientId: "kafkajs", logLevel: logLevel.NOTHING });

// Headers are an object here: those of one name become a list.
function headersOf(list) {
  const headers = {};
  for (const { key, value } of list ?? []) (headers[key] ??= []).push(bytes(value));
  return headers;
}

function emitRecord(partition, message) {
  const headers = Object.entries(message.headers ?? {}).flatMap(([key, values]) =>
    [values].flat().map((value) => ({ key, value: text(value) })),
  );
  emit("record", {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: text(message.key),
    value: text(message.value),
    headers,
  });
}

async function produce() {
  const producer = kafka.producer({ idempotent: options.idempotent === "true", maxInFlightRequests: 1 });
  await producer.connect();
  const records = await readRecords();
  const messages = records.map((r) => ({
    partition: r.partition,
    timestamp: String(r.timestamp),
    key: bytes(r.key),
    value: bytes(r.value),
    headers: headersOf(r.headers),
  }));
  const answers = await producer.send({ topic, acks: -1, compression: codecs[options.codec], messages });
  const next = new Map(answers.map((a) => [a.partition, Number(a.baseOffset)]));
  records.forEach(({ partition }, index) => {
    emit("acked", { index, partition, offset: next.get(partition) });
    next.set(partition, next.get(partition) + 1);
  });
  await producer.disconnect();
}

async function startsAt(time) {
  const admin = kafka.admin();
  await admin.connect();
  const starts = await admin.fetchTopicOffsetsByTimestamp(topic, time);
  await admin.disconnect();
  for (const { partition, offset } of starts) emit("start", { partition, offset: Number(offset) });
  return starts;
}

async function consume() {
  const starts = options.from === "time" ? await startsAt(Number(options.time)) : [];
  const consumer = kafka.consumer({ groupId: `reader-${randomUUID()}`, readUncommitted: options.isolation !== "committed" });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let left = Number(options.count);
  await new Promise((resolve, reject) => {
    const eachMessage = async ({ partition, message }) => {
      if (left <= 0) return;
      emitRecord(partition, message);
      if (--left === 0) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
    for (const { partition, offset } of starts) consumer.seek({ topic, partition, offset });
  });
  await consumer.disconnect();
}

async function group() {
  const consumer = kafka.consumer({ groupId: options.group, heartbeatInterval: 500 });
  let owned = [];
  const release = () => {
    if (owned.length) emit("revoked", { partitions: owned });
    owned = [];
  };
  consumer.on(consumer.events.REBALANCING, release);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    release();
    owned = payload.memberAssignment[topic] ?? [];
    emit("assigned", { partitions: owned });
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let left = Number(options.count ?? Infinity);
  await new Promise((resolve, reject) => {
    inputEnded().then(() => left === Infinity && resolve());
    const eachBatch = async ({ batch, resolveOffset, uncommittedOffsets, commitOffsetsIfNecessary, isRunning, isStale }) => {
      for (const message of batch.messages) {
        if (left <= 0 || !isRunning() || isStale()) break;
        emitRecord(batch.partition, message);
        resolveOffset(message.offset);
        left--;
      }
      await commitOffsetsIfNecessary(uncommittedOffsets());
      if (left <= 0) resolve();
    };
    consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }).catch(reject);
  });
  await consumer.disconnect();
  release();
  emit("left");
}

async function copy() {
  const consumer = kafka.consumer({ groupId: options.group, readUncommitted: false });
  const producer = kafka.producer({ transactionalId: options.id, idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const write = async (partition, messages) => {
    const transaction = await producer.transaction();
    const again = messages.map(({ timestamp, key, value, headers }) => ({ partition, timestamp, key, value, headers }));
    await transaction.send({ topic: options.to, acks: -1, messages: again });
    const offset = String(Number(messages.at(-1).offset) + 1);
    await transaction.sendOffsets({ consumerGroupId: options.group, topics: [{ topic, partitions: [{ partition, offset }] }] });
    return transaction;
  };
  let left = Number(options.count);
  await new Promise((resolve, reject) => {
    const eachBatch = async ({ batch, resolveOffset }) => {
      await (await write(batch.partition, batch.messages)).abort();
      await (await write(batch.partition, batch.messages)).commit();
      resolveOffset(batch.lastOffset());
      emit("copied", { index: batch.messages.length });
      left -= batch.messages.length;
      if (left <= 0) resolve();
    };
    consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }).catch(reject);
  });
  await consumer.disconnect();
  await producer.disconnect();
  emit("left");
}

async function admin() {
  const client = kafka.admin();
  const kept = `${topic}-kept`;
  const answer = (message) => emit("answer", { message });
  const partitions = async () => (await client.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
  const committed = async () => (await client.fetchOffsets({ groupId: topic, topics: [kept] }))[0].partitions[0].offset;
  const retention = { type: ConfigResourceTypes.TOPIC, name: topic };
  const configEntries = [{ name: "retention.ms", value: "3600000" }];
  await client.connect();
  await client.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries }] });
  answer(`created ${await partitions()}`);
  await client.createTopics({ topics: [{ topic }] }).then((made) => made || answer("again 36")); // false is how it says so
  await client.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
  answer(`grown to ${await partitions()}`);
  for (let i = 0; i < 2; i++) {
    const found = await client.describeConfigs({ resources: [{ ...retention, configNames: ["retention.ms"] }] });
    answer(`retention.ms ${found.resources[0].configEntries[0].configValue}`);
    await client.alterConfigs({ resources: [{ ...retention, configEntries: [{ name: "retention.ms", value: "7200000" }] }] });
  }
  await client.deleteTopicRecords({ topic: kept, partitions: [{ partition: 0, offset: "5" }] });
  const [{ low, high }] = await client.fetchTopicOffsets(kept);
  answer(`kept ${low} to ${high}`);
  answer(`group ${(await client.describeGroups([topic])).groups[0].state} at ${await committed()}`);
  await client.setOffsets({ groupId: topic, topic: kept, partitions: [{ partition: 0, offset: "7" }] });
  answer(`group at ${await committed()}`);
  await client.deleteGroups([topic]);
  if (!(await client.listGroups()).groups.some((g) => g.groupId === topic)) answer("group gone");
  answer(`brokers ${(await client.describeCluster()).brokers.length}`);
  await client.deleteTopics({ topics: [topic] });
  if (!(await client.listTopics()).includes(topic)) answer("topic gone");
  await client.disconnect();
}

try {
  await { produce, consume, group, copy, admin }[verb]();
  exit(0);
} catch (err) {
  emit("error", { message: String(err.stack) });
  exit(1);
}
