import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/**
 * The reader at the end: everything from the beginning, when all is over.
 *
 * <pre>
 * java Dump BOOTSTRAP GROUP EVENTS OUTPUTS(,) FOLDER ISOLATION
 *   end.jsonl        every record, as a whole
 *   aborted.jsonl    places of outputs that only a read_uncommitted reader sees
 *   end.json         the group's position, transactional ids, open transactions
 * </pre>
 */
public final class Dump {
    private static final Set<TransactionState> OPEN =
        Set.of(TransactionState.ONGOING, TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT);

    /** Longer than any transaction may stay open. */
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        String events = args[2];
        List<String> outputs = Arrays.asList(args[3].split(","));
        Path folder = Path.of(args[4]);
        List<String> topics = new ArrayList<>(outputs);
        topics.add(events);
        try (Admin admin = Cluster.admin(bootstrap, 60_000)) {
            List<TopicPartition> partitions = Cluster.partitions(admin, topics);
            Map<TopicPartition, Set<Long>> seen = new HashMap<>();
            try (Lines lines = new Lines(folder.resolve("end.jsonl"))) {
                read(admin, bootstrap, partitions, args[5], record -> {
                    lines.write(Lines.whole(record));
                    seen.computeIfAbsent(new TopicPartition(record.topic(), record.partition()), it -> new HashSet<>())
                        .add(record.offset());
                });
            }
            try (Lines lines = new Lines(folder.resolve("aborted.jsonl"))) {
                List<TopicPartition> written = partitions.stream().filter(it -> outputs.contains(it.topic())).toList();
                // What a reader on the wrong level saw stands in `seen` too, so the committed ones are asked for anew.
                Map<TopicPartition, Set<Long>> committed = args[5].equals("read_committed") ? seen : new HashMap<>();
                if (committed != seen) {
                    read(admin, bootstrap, written, "read_committed", record -> committed
                        .computeIfAbsent(new TopicPartition(record.topic(), record.partition()), it -> new HashSet<>())
                        .add(record.offset()));
                }
                read(admin, bootstrap, written, "read_uncommitted", record -> {
                    Set<Long> of = committed.get(new TopicPartition(record.topic(), record.partition()));
                    if (of == null || !of.contains(record.offset())) {
                        lines.write(Lines.place(record.topic(), record.partition(), record.offset()));
                    }
                });
            }
            Map<String, Object> end = new LinkedHashMap<>();
            end.put("position", Cluster.position(admin, args[1], Cluster.partitions(admin, List.of(events)), PATIENCE));
            var transactions = admin.listTransactions().all().get();
            end.put("transactional_ids", transactions.stream().map(it -> it.transactionalId()).sorted().toList());
            end.put("open_transactions", transactions.stream().filter(it -> OPEN.contains(it.state()))
                .map(it -> it.transactionalId()).sorted().toList());
            Lines.JSON.writeValue(folder.resolve("end.json").toFile(), end);
        }
        System.out.println("done");
    }

    private interface Each {
        void record(ConsumerRecord<byte[], byte[]> record) throws Exception;
    }

    /** Up to the ends of this moment; an open transaction below them is waited for, and its time-out ends it. */
    private static void read(Admin admin, String bootstrap, List<TopicPartition> partitions, String isolation, Each each)
            throws Exception {
        Map<TopicPartition, Long> ends = Cluster.ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED);
        try (var consumer = Cluster.consumer(bootstrap, isolation)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (!ends.entrySet().stream().allMatch(it -> consumer.position(it.getKey()) >= it.getValue())) {
                for (var record : consumer.poll(Cluster.POLL)) {
                    if (record.offset() < ends.get(new TopicPartition(record.topic(), record.partition()))) {
                        each.record(record);
                    }
                }
            }
        }
    }
}
