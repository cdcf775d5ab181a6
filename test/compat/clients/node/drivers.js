// What every kafkajs tutorial starts from: drivers say where they are, riders' services listen.
//
//   drivers.js BOOTSTRAP DRIVERS POSITIONS
//
// DRIVERS drivers send POSITIONS positions each to driver-locations, keyed by driver; each pickup and dropoff goes to
// trip-updates. Two services of driver-location-group and one of trip-updates-group read them. Prints a line of JSON with
// what each service saw, once everything that was sent has been seen.

import kafkajs from "kafkajs";

const { Kafka, logLevel, Partitioners } = kafkajs;
const [bootstrap, drivers, positions] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "ride-sharing", brokers: [bootstrap], logLevel: logLevel.ERROR });

async function createTopics() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: true,
    topics: [
      { topic: "driver-locations", numPartitions: 3 },
      { topic: "trip-updates", numPartitions: 1 },
    ],
  });
  await admin.disconnect();
}

// listen starts a service: it notes key and position of each message, in the order of arrival.
async function listen(groupId, topic, seen) {
  const consumer = kafka.consumer({ groupId });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      seen.push({ key: message.key.toString(), ...JSON.parse(message.value.toString()) });
    },
  });
  await joined;
  return consumer;
}

async function drive(producer, driver) {
  const send = (topic, value) => producer.send({ topic, messages: [{ key: driver, value: JSON.stringify(value) }] });
  await send("trip-updates", { step: 0, status: "picked up" });
  for (let step = 0; step < Number(positions); step++) {
    await send("driver-locations", { step, latitude: 47.68 + step / 1000, longitude: 9.17 });
  }
  await send("trip-updates", { step: 1, status: "dropped off" });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function main() {
  await createTopics();
  const seen = { riders1: [], riders2: [], trips: [] };
  const consumers = [
    await listen("driver-location-group", "driver-locations", seen.riders1),
    await listen("driver-location-group", "driver-locations", seen.riders2),
    await listen("trip-updates-group", "trip-updates", seen.trips),
  ];
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await Promise.all(Array.from({ length: Number(drivers) }, (_, n) => drive(producer, `driver-${n}`)));
  const all = () => seen.riders1.length + seen.riders2.length >= drivers * positions && seen.trips.length >= drivers * 2;
  while (!all()) await pause(20);
  await producer.disconnect();
  await Promise.all(consumers.map((consumer) => consumer.disconnect()));
  console.log(JSON.stringify(seen));
}

main().then(
  () => process.exit(0),
  (err) => {
    console.log(JSON.stringify({ error: String(err.stack) }));
    process.exit(1);
  },
);
