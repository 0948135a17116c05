import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Java's clients, as the readers need them: they wait for brokers that are away, and belong to no group. */
final class Cluster {
    private Cluster() {}

    static final Duration POLL = Duration.ofMillis(100);

    static Admin admin(String bootstrap, int timeoutMs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", timeoutMs);
        settings.put("request.timeout.ms", Math.min(timeoutMs, 5_000));
        settings.put("reconnect.backoff.max.ms", 500);
        return Admin.create(settings);
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String isolation) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("isolation.level", isolation);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("fetch.max.wait.ms", "100");
        settings.put("reconnect.backoff.max.ms", 500);
        settings.put("allow.auto.create.topics", "false");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<TopicPartition> partitions(Admin admin, List<String> topics) throws Exception {
        List<TopicPartition> found = new ArrayList<>();
        for (var topic : admin.describeTopics(topics).allTopicNames().get().values()) {
            topic.partitions().forEach(part -> found.add(new TopicPartition(topic.name(), part.partition())));
        }
        return found;
    }

    /** Read committed: where a reader stops. Read uncommitted: where the next record goes. */
    static Map<TopicPartition, Long> ends(Admin admin, List<TopicPartition> of, IsolationLevel isolation) throws Exception {
        Map<TopicPartition, OffsetSpec> latest = of.stream().collect(Collectors.toMap(it -> it, it -> OffsetSpec.latest()));
        Map<TopicPartition, Long> ends = new HashMap<>();
        admin.listOffsets(latest, new ListOffsetsOptions(isolation)).all().get()
            .forEach((partition, end) -> ends.put(partition, end.offset()));
        return ends;
    }

    /**
     * The group's position in the topic. A partition whose position an open transaction may still change is asked for again,
     * and left out if that goes on; one without a position stands at -1.
     */
    static List<Object> position(Admin admin, String group, List<TopicPartition> of, Duration patience) throws Exception {
        var options = new ListConsumerGroupOffsetsOptions().requireStable(true);
        long deadline = System.nanoTime() + patience.toNanos();
        Set<TopicPartition> missing = new HashSet<>(of);
        List<Object> position = new ArrayList<>();
        while (true) {
            var spec = new ListConsumerGroupOffsetsSpec().topicPartitions(List.copyOf(missing));
            Map<TopicPartition, OffsetAndMetadata> stable =
                admin.listConsumerGroupOffsets(Map.of(group, spec), options).partitionsToOffsetAndMetadata(group).get();
            stable.forEach((partition, committed) -> {
                missing.remove(partition);
                position.add(List.of(partition.partition(), committed == null ? -1L : committed.offset(),
                    committed == null ? "" : committed.metadata()));
            });
            if (missing.isEmpty() || System.nanoTime() > deadline) {
                return position;
            }
            Thread.sleep(20);
        }
    }

    static List<Object> lines(Map<TopicPartition, Long> ends) {
        List<Object> lines = new ArrayList<>();
        ends.forEach((partition, end) -> lines.add(List.of(partition.topic(), partition.partition(), end)));
        return lines;
    }
}
