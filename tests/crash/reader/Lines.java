import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/** A file of JSON lines, and how records become lines. */
final class Lines implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();

    private final BufferedWriter file;

    Lines(Path path) throws IOException {
        file = Files.newBufferedWriter(path);
    }

    synchronized void write(Object line) throws IOException {
        file.write(JSON.writeValueAsString(line));
        file.write('\n');
    }

    synchronized void flush() throws IOException {
        file.flush();
    }

    @Override
    public synchronized void close() throws IOException {
        file.close();
    }

    /** The record as a whole. */
    static Map<String, Object> whole(ConsumerRecord<byte[], byte[]> record) {
        Map<String, Object> line = place(record.topic(), record.partition(), record.offset());
        line.put("at", record.timestamp());
        bytes(line, "key", record.key());
        bytes(line, "value", record.value());
        List<Object> headers = new ArrayList<>();
        for (Header header : record.headers()) {
            byte[] value = header.value();
            // A header that is not text is not one of ours; its length is all that is told.
            headers.add(value == null
                ? java.util.Arrays.asList(header.key(), null)
                : List.of(header.key(), text(value).orElse(value.length + " bytes")));
        }
        line.put("headers", headers);
        return line;
    }

    static Map<String, Object> place(String topic, int partition, long offset) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("topic", topic);
        line.put("partition", partition);
        line.put("offset", offset);
        return line;
    }

    private static void bytes(Map<String, Object> line, String name, byte[] value) {
        if (value == null) {
            line.put(name, null);
        } else {
            text(value).ifPresentOrElse(
                text -> line.put(name, text),
                () -> line.put(name + "_b64", Base64.getEncoder().encodeToString(value)));
        }
    }

    private static Optional<String> text(byte[] value) {
        try {
            return Optional.of(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(value)).toString());
        } catch (CharacterCodingException notText) {
            return Optional.empty();
        }
    }

    /** SHA-256 over key and value, each preceded by its length; nothing (-1) is told from empty. */
    static String sum(byte[] key, byte[] value) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (byte[] part : new byte[][] {key, value}) {
                digest.update(ByteBuffer.allocate(8).putLong(part == null ? -1 : part.length).array());
                if (part != null) {
                    digest.update(part);
                }
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
