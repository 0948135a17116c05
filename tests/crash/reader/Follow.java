import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;

/**
 * The reader that follows along, until its standard input ends; then it reads up to the ends of that moment and says so.
 *
 * <pre>
 * java Follow BOOTSTRAP GROUP EVENTS OUTPUTS(,) FOLDER ISOLATION
 *   followed.jsonl   every output as it arrives
 *   offsets.jsonl    commits, forgotten positions and generations of the group, from the offsets topic, in its order
 *   samples.jsonl    twice a second: visible ends, committed position, written ends, read in this order
 * </pre>
 */
public final class Follow {
    private static final int SAMPLE_EVERY_MS = 500;
    /** Bursts are open for milliseconds; a position that is not stable for this long is left out of the sample. */
    private static final Duration PATIENCE = Duration.ofSeconds(1);
    private static final String OFFSETS = "__consumer_offsets";

    private final CountDownLatch ended = new CountDownLatch(1);
    private final String bootstrap;
    private final String group;
    private final String events;
    private final List<String> outputs;
    private final Path folder;
    private final String isolation;

    private Follow(String[] args) {
        bootstrap = args[0];
        group = args[1];
        events = args[2];
        outputs = Arrays.asList(args[3].split(","));
        folder = Path.of(args[4]);
        isolation = args[5];
    }

    public static void main(String[] args) throws Exception {
        Follow follow = new Follow(args);
        follow.wakeCoordinators();
        List<Thread> threads = List.of(
            follow.thread("outputs", follow::followOutputs),
            follow.thread("offsets", follow::followOffsets),
            follow.thread("samples", follow::sample));
        System.out.println("following");
        while (System.in.read() >= 0) {
            // Only its end means anything.
        }
        follow.ended.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("done");
    }

    /** A cluster that was just born has no coordinators before somebody asks for them; a cluster in service has. */
    private void wakeCoordinators() throws Exception {
        try (Admin admin = Cluster.admin(bootstrap, 60_000)) {
            admin.fenceProducers(List.of("nobody")).all().get();
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    /** A reader that broke down proves nothing: the process ends, and the battery sees it. */
    private Thread thread(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable broken) {
                broken.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        }, name);
        thread.start();
        return thread;
    }

    private boolean isOver() {
        return ended.getCount() == 0;
    }

    private void followOutputs() throws Exception {
        try (Admin admin = Cluster.admin(bootstrap, 60_000);
                var consumer = Cluster.consumer(bootstrap, isolation);
                Lines lines = new Lines(folder.resolve("followed.jsonl"))) {
            List<TopicPartition> partitions = Cluster.partitions(admin, outputs);
            follow(admin, consumer, partitions, IsolationLevel.READ_COMMITTED, lines, record -> {
                Map<String, Object> line = Lines.place(record.topic(), record.partition(), record.offset());
                line.put("sum", Lines.sum(record.key(), record.value()));
                line.put("at", System.currentTimeMillis());
                lines.write(line);
            });
        }
    }

    private void followOffsets() throws Exception {
        try (Admin admin = Cluster.admin(bootstrap, 60_000);
                var consumer = Cluster.consumer(bootstrap, "read_committed");
                Lines lines = new Lines(folder.resolve("offsets.jsonl"))) {
            while (!admin.listTopics(new ListTopicsOptions().listInternal(true))
                    .names().get().contains(OFFSETS)) {
                if (isOver()) {
                    return;
                }
                Thread.sleep(100);
            }
            int count = Cluster.partitions(admin, List.of(OFFSETS)).size();
            TopicPartition ours = new TopicPartition(OFFSETS, (group.hashCode() & 0x7fff_ffff) % count);
            var serde = new GroupCoordinatorRecordSerde();
            follow(admin, consumer, List.of(ours), IsolationLevel.READ_COMMITTED, lines, record -> {
                ByteBuffer value = record.value() == null ? null : ByteBuffer.wrap(record.value());
                Map<String, Object> line = line(serde.deserialize(ByteBuffer.wrap(record.key()), value));
                if (line != null) {
                    line.put("at_offset", record.offset());
                    line.put("at", record.timestamp());
                    lines.write(line);
                }
            });
        }
    }

    private interface Each {
        void record(ConsumerRecord<byte[], byte[]> record) throws Exception;
    }

    private void follow(Admin admin, KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> partitions,
            IsolationLevel until, Lines lines, Each each) throws Exception {
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = null;
        while (true) {
            for (var record : consumer.poll(Cluster.POLL)) {
                each.record(record);
            }
            lines.flush();
            if (isOver() && ends == null) {
                ends = Cluster.ends(admin, partitions, until);
            }
            if (ends != null && isThere(consumer, ends)) {
                return;
            }
        }
    }

    private static boolean isThere(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    /** A commit, a forgotten position or a generation of our group; nothing for whatever else stands there. */
    private Map<String, Object> line(CoordinatorRecord record) {
        Object key = record.key();
        Map<String, Object> line = new LinkedHashMap<>();
        if (record.value() == null) {
            if (!(key instanceof OffsetCommitKey gone) || !gone.group().equals(group)) {
                return null;
            }
            line.put("kind", "forgotten");
            line.put("topic", gone.topic());
            line.put("partition", gone.partition());
            return line;
        }
        Object value = record.value().message();
        if (key instanceof OffsetCommitKey commit && commit.group().equals(group)) {
            OffsetCommitValue committed = (OffsetCommitValue) value;
            line.put("kind", "commit");
            line.put("topic", commit.topic());
            line.put("partition", commit.partition());
            line.put("offset", committed.offset());
            line.put("metadata", committed.metadata());
            return line;
        }
        if (key instanceof GroupMetadataKey of && of.group().equals(group)) {
            GroupMetadataValue generation = (GroupMetadataValue) value;
            line.put("kind", "generation");
            line.put("number", generation.generation());
            line.put("owners", owners(generation));
            return line;
        }
        return null;
    }

    private static List<Object> owners(GroupMetadataValue generation) {
        List<Object> owners = new ArrayList<>();
        for (var member : generation.members()) {
            String name = member.groupInstanceId() == null ? member.clientId() : member.groupInstanceId();
            if (member.assignment() != null && member.assignment().length > 0) {
                ByteBuffer assignment = ByteBuffer.wrap(member.assignment());
                for (TopicPartition partition : ConsumerProtocol.deserializeAssignment(assignment).partitions()) {
                    owners.add(List.of(partition.topic(), partition.partition(), name));
                }
            }
        }
        return owners;
    }

    private void sample() throws Exception {
        try (Admin patient = Cluster.admin(bootstrap, 60_000);
                Admin admin = Cluster.admin(bootstrap, 5_000);
                Lines lines = new Lines(folder.resolve("samples.jsonl"))) {
            List<TopicPartition> partitions = Cluster.partitions(patient, outputs);
            List<TopicPartition> inputs = Cluster.partitions(patient, List.of(events));
            boolean last = false;
            while (!last) {
                last = isOver();
                try {
                    Map<String, Object> line = new LinkedHashMap<>();
                    line.put("at", System.currentTimeMillis());
                    line.put("visible", Cluster.lines(Cluster.ends(admin, partitions, IsolationLevel.READ_COMMITTED)));
                    line.put("committed", Cluster.position(admin, group, inputs, PATIENCE));
                    line.put("written", Cluster.lines(Cluster.ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED)));
                    lines.write(line);
                    lines.flush();
                } catch (ExecutionException away) {
                    // A broker is down, or a transaction is open: another instant will do.
                    System.err.println("no sample: " + away.getCause());
                }
                ended.await(SAMPLE_EVERY_MS, TimeUnit.MILLISECONDS);
            }
        }
    }
}
