import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The producer, and its ledger: what the log acknowledged. Reads records as JSON lines from standard input until it ends.
 *
 * <pre>
 * java Publish BOOTSTRAP TOPIC FOLDER      {"key": .., "value": .. or "value_b64": .., "headers": [[name, value], ..]}
 *   acks.jsonl   place, sum and time of every acknowledgement
 * </pre>
 */
public final class Publish {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "5");
        settings.put("reconnect.backoff.max.ms", 500);
        // A record that was taken is never given up: whatever befalls the brokers, it ends on the log once.
        settings.put("delivery.timeout.ms", 600_000);
        settings.put("max.block.ms", 600_000);
        try (Lines acks = new Lines(Path.of(args[2]).resolve("acks.jsonl"));
                var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String text; (text = input.readLine()) != null; ) {
                JsonNode line = Lines.JSON.readTree(text);
                byte[] key = bytes(line, "key");
                byte[] value = bytes(line, "value");
                var record = new ProducerRecord<>(args[1], key, value);
                line.path("headers").forEach(header -> record.headers()
                    .add(header.get(0).asText(), header.get(1).asText().getBytes(StandardCharsets.UTF_8)));
                producer.send(record, (at, error) -> acknowledged(acks, at == null ? -1 : at.partition(),
                    at == null ? -1 : at.offset(), Lines.sum(key, value), error));
            }
            producer.flush();
        }
        System.out.println("done");
    }

    private static byte[] bytes(JsonNode line, String name) {
        if (line.hasNonNull(name)) {
            return line.get(name).asText().getBytes(StandardCharsets.UTF_8);
        }
        JsonNode encoded = line.get(name + "_b64");
        return encoded == null ? null : Base64.getDecoder().decode(encoded.asText());
    }

    private static void acknowledged(Lines acks, int partition, long offset, String sum, Exception error) {
        try {
            if (error != null) {
                throw error;
            }
            acks.write(Map.of("partition", partition, "offset", offset, "sum", sum, "at", System.currentTimeMillis()));
            acks.flush();
        } catch (Exception broken) {
            // A ledger with a hole proves nothing.
            broken.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }
}
