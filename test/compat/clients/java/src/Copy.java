import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The copy verb of ../../README.md. */
final class Copy {
    private final String topic;
    private final Map<String, String> options;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final KafkaProducer<byte[], byte[]> producer;

    Copy(String bootstrap, String topic, Map<String, String> options) {
        this.topic = topic;
        this.options = options;
        consumer = new KafkaConsumer<>(Map.of(
            "bootstrap.servers", bootstrap,
            "group.id", options.get("group"),
            "enable.auto.commit", false,
            "auto.offset.reset", "earliest",
            "isolation.level", "read_committed",
            "max.poll.records", 10), new ByteArrayDeserializer(), new ByteArrayDeserializer());
        producer = new KafkaProducer<>(Map.of(
            "bootstrap.servers", bootstrap,
            "transactional.id", options.get("id")), new ByteArraySerializer(), new ByteArraySerializer());
    }

    void run() {
        try (consumer; producer) {
            producer.initTransactions();
            consumer.subscribe(List.of(topic));
            for (long left = Long.parseLong(options.get("count")); left > 0; ) {
                var polled = consumer.poll(Duration.ofMillis(500));
                if (polled.isEmpty()) continue;
                write(polled);
                producer.flush(); // what is not sent yet, an abort drops
                producer.abortTransaction();
                write(polled);
                producer.commitTransaction();
                left -= polled.count();
                Lines.emit(Lines.event("copied").put("index", polled.count()));
            }
        }
        Lines.emit(Lines.event("left"));
    }

    private void write(ConsumerRecords<byte[], byte[]> polled) {
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> r : polled) {
            producer.send(new ProducerRecord<>(options.get("to"), r.partition(), r.timestamp(), r.key(), r.value(), r.headers()));
            next.put(new TopicPartition(topic, r.partition()), new OffsetAndMetadata(r.offset() + 1));
        }
        producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
    }
}
