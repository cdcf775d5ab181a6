import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.protocol.Errors;

/** The admin verb of ../../README.md. */
final class Administration {
    private final String bootstrap;
    private final String topic;
    private final TopicPartition kept;

    Administration(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
        kept = new TopicPartition(topic + "-kept", 0);
    }

    void run() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            topics(admin);
            configs(admin);
            admin.deleteRecords(Map.of(kept, RecordsToDelete.beforeOffset(5))).all().get();
            answer("kept " + offset(admin, OffsetSpec.earliest()) + " to " + offset(admin, OffsetSpec.latest()));
            group(admin);
            answer("brokers " + admin.describeCluster().nodes().get().size());
            admin.deleteTopics(List.of(topic)).all().get();
            if (!admin.listTopics().names().get().contains(topic)) answer("topic gone");
        }
    }

    private static void answer(String text) {
        Lines.emit(Lines.event("answer").put("message", text));
    }

    private void topics(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "3600000")))).all().get();
        answer("created " + partitions(admin));
        try {
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all().get();
        } catch (ExecutionException e) {
            answer("again " + Errors.forException((ApiException) e.getCause()).code());
        }
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        answer("grown to " + partitions(admin));
    }

    private int partitions(Admin admin) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    }

    private void configs(Admin admin) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var set = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
        for (int i = 0; i < 2; i++) {
            answer("retention.ms " + admin.describeConfigs(Set.of(resource)).all().get().get(resource).get("retention.ms").value());
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
        }
    }

    private long offset(Admin admin, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(kept, spec)).partitionResult(kept).get().offset();
    }

    private void group(Admin admin) throws Exception {
        answer("group " + admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState() + " at " + committed(admin));
        admin.alterConsumerGroupOffsets(topic, Map.of(kept, new OffsetAndMetadata(7))).all().get();
        answer("group at " + committed(admin));
        admin.deleteConsumerGroups(List.of(topic)).all().get();
        if (admin.listGroups().all().get().stream().noneMatch(g -> g.groupId().equals(topic))) answer("group gone");
    }

    private long committed(Admin admin) throws Exception {
        return admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(kept).offset();
    }
}
