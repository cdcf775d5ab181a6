import java.io.IOException;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.state.Stores;

/** The count verb of ../../README.md: Kafka Streams with a topic to repartition by, and one to restore from. */
final class Count {
    private final Properties config = new Properties();
    private final String from;
    private final String to;

    Count(String bootstrap, String topic, Map<String, String> options) {
        from = topic;
        to = options.get("to");
        config.putAll(Map.of(
            "bootstrap.servers", bootstrap,
            "application.id", options.get("id"),
            "state.dir", options.get("state"),
            "processing.guarantee", "exactly_once_v2",
            "commit.interval.ms", 100,
            "statestore.cache.max.bytes", 0, // each count is written, not only the last
            "consumer.auto.offset.reset", "earliest",
            "consumer.session.timeout.ms", 6000, // until a member that was killed is known to be gone
            "default.key.serde", Serdes.StringSerde.class,
            "default.value.serde", Serdes.StringSerde.class));
    }

    /** Counts until standard input ends. */
    void run() throws IOException {
        try (var streams = new KafkaStreams(topology(), config)) {
            streams.setUncaughtExceptionHandler(failed -> {
                Lines.emit(Lines.event("error").put("message", failed.toString()));
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.setStateListener((now, before) -> Lines.emit(Lines.event(now.name().toLowerCase())));
            streams.start();
            while (System.in.read() >= 0) continue;
        }
        Lines.emit(Lines.event("left"));
    }

    private Topology topology() {
        var builder = new StreamsBuilder();
        builder.<String, String>stream(from)
            .groupBy((key, value) -> value, Grouped.as("by-value"))
            .count(Named.as("count"), Materialized.as(Stores.inMemoryKeyValueStore("counts")))
            .toStream().mapValues(String::valueOf).to(to);
        return builder.build();
    }
}
