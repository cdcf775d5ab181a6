import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/** The lines of JSON that every client program shares: see ../../README.md. */
final class Lines {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true);

    private Lines() {}

    static ObjectNode event(String name) {
        return JSON.createObjectNode().put("event", name);
    }

    static void emit(ObjectNode event) {
        event.put("at", ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()));
        OUT.println(event);
    }

    static void emitPartitions(String name, Collection<TopicPartition> partitions) {
        ObjectNode event = event(name);
        ArrayNode list = event.putArray("partitions");
        partitions.forEach(p -> list.add(p.partition()));
        emit(event);
    }

    static void emitRecord(ConsumerRecord<byte[], byte[]> r) {
        ObjectNode event = event("record").put("partition", r.partition()).put("offset", r.offset())
            .put("timestamp", r.timestamp()).put("key", r.key()).put("value", r.value());
        ArrayNode headers = event.putArray("headers");
        for (Header h : r.headers()) headers.addObject().put("key", h.key()).put("value", h.value());
        emit(event);
    }

    static BufferedReader input() {
        return new BufferedReader(new InputStreamReader(System.in));
    }

    static ProducerRecord<byte[], byte[]> parse(String topic, String line) throws IOException {
        JsonNode in = JSON.readTree(line);
        var r = new ProducerRecord<>(topic, in.get("partition").asInt(), in.get("timestamp").asLong(), bytes(in, "key"), bytes(in, "value"));
        for (JsonNode h : in.path("headers")) r.headers().add(h.get("key").asText(), bytes(h, "value"));
        return r;
    }

    private static byte[] bytes(JsonNode in, String field) throws IOException {
        return in.hasNonNull(field) ? in.get(field).binaryValue() : null;
    }
}
