import static java.util.stream.Collectors.toList;
import static java.util.stream.Collectors.toMap;

import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache's Java client, by the command line of ../../README.md. */
public final class Main {
    private final String bootstrap;
    private final String topic;
    private final Map<String, String> options = new HashMap<>();

    private Main(String[] args) {
        bootstrap = args[1];
        topic = args[2];
        for (int i = 3; i < args.length; i++) {
            String[] option = args[i].split("=", 2);
            options.put(option[0], option[1]);
        }
    }

    public static void main(String[] args) {
        try {
            Main job = new Main(args);
            switch (args[0]) {
                case "produce" -> job.produce();
                case "consume" -> job.consume();
                case "group" -> job.group();
                case "copy" -> new Copy(job.bootstrap, job.topic, job.options).run();
                case "count" -> new Count(job.bootstrap, job.topic, job.options).run();
                case "admin" -> new Administration(job.bootstrap, job.topic).run();
                default -> throw new IllegalArgumentException("no such verb: " + args[0]);
            }
        } catch (Exception e) {
            Lines.emit(Lines.event("error").put("message", e.toString()));
            System.exit(1);
        }
    }

    private void produce() throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", bootstrap,
            "compression.type", options.get("codec"),
            "enable.idempotence", "true".equals(options.get("idempotent")),
            "acks", "all",
            "linger.ms", 5);
        Future<RecordMetadata> last = null;
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer()); var in = Lines.input()) {
            int index = 0;
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                int number = index++;
                last = producer.send(Lines.parse(topic, line), (done, failed) -> acked(number, done, failed));
            }
            producer.flush();
            if (last != null) last.get(); // throws what made it fail
        }
    }

    private static void acked(int index, RecordMetadata done, Exception failed) {
        if (failed == null) {
            Lines.emit(Lines.event("acked").put("index", index).put("partition", done.partition()).put("offset", done.offset()));
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        String strategy = options.getOrDefault("strategy", "eager");
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap,
            "enable.auto.commit", false,
            "auto.offset.reset", "earliest"));
        if (strategy.equals("consumer")) {
            config.put("group.protocol", "consumer");
        } else {
            config.put("heartbeat.interval.ms", 500);
            config.put("partition.assignment.strategy", List.of(strategy.equals("cooperative") ? CooperativeStickyAssignor.class : RangeAssignor.class));
        }
        if (options.containsKey("group")) config.put("group.id", options.get("group"));
        if (options.containsKey("instance")) config.put("group.instance.id", options.get("instance"));
        if ("committed".equals(options.get("isolation"))) config.put("isolation.level", "read_committed");
        if (options.containsKey("count")) config.put("max.poll.records", 1); // none is read beyond the count
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void consume() {
        try (var consumer = consumer()) {
            var partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).collect(toList());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            if ("time".equals(options.get("from"))) seekToTime(consumer, partitions);
            for (long left = Long.parseLong(options.get("count")); left > 0; ) {
                left -= show(consumer.poll(Duration.ofMillis(500)));
            }
        }
    }

    private void seekToTime(KafkaConsumer<byte[], byte[]> consumer, Collection<TopicPartition> partitions) {
        long time = Long.parseLong(options.get("time"));
        consumer.offsetsForTimes(partitions.stream().collect(toMap(p -> p, p -> time))).forEach((partition, found) -> {
            if (found == null) consumer.seekToEnd(List.of(partition));
            else consumer.seek(partition, found.offset());
            Lines.emit(Lines.event("start").put("partition", partition.partition()).put("offset", found == null ? -1 : found.offset()));
        });
    }

    private static int show(ConsumerRecords<byte[], byte[]> records) {
        records.forEach(Lines::emitRecord);
        return records.count();
    }

    private void group() {
        AtomicBoolean ended = inputEnded();
        try (var consumer = consumer()) {
            consumer.subscribe(List.of(topic), new Listener());
            long left = Long.parseLong(options.getOrDefault("count", String.valueOf(Long.MAX_VALUE)));
            while (left > 0 && !(ended.get() && !options.containsKey("count"))) {
                int read = show(consumer.poll(Duration.ofMillis(100)));
                if (read > 0) commit(consumer);
                left -= read;
            }
        }
        Lines.emit(Lines.event("left"));
    }

    /** Commits what was read, unless the group rebalances: poll takes part in that, and the next commit covers this one. */
    private void commit(KafkaConsumer<byte[], byte[]> consumer) {
        try {
            consumer.commitSync();
        } catch (RebalanceInProgressException e) {
            return;
        } catch (CommitFailedException e) {
            // A group that turns classic has a generation that this member may not have heard of.
            if (!options.containsKey("migrates")) throw e;
        }
    }

    /** Turns true when standard input ends: the sign to leave. */
    private static AtomicBoolean inputEnded() {
        AtomicBoolean ended = new AtomicBoolean();
        Thread waiting = new Thread(() -> {
            try {
                while (System.in.read() >= 0) continue;
            } catch (IOException e) {
                Lines.emit(Lines.event("error").put("message", e.toString()));
            }
            ended.set(true);
        });
        waiting.setDaemon(true);
        waiting.start();
        return ended;
    }

    private static final class Listener implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            Lines.emitPartitions("assigned", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            Lines.emitPartitions("revoked", partitions);
        }
    }
}
