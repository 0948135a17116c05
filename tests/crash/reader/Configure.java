import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Changes one setting of a topic, as an operator might.
 *
 * <pre>
 * java Configure BOOTSTRAP TOPIC NAME VALUE     sets it
 * java Configure BOOTSTRAP TOPIC NAME           takes it back
 * </pre>
 */
public final class Configure {
    public static void main(String[] args) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, args[1]);
        AlterConfigOp change = args.length > 3
            ? new AlterConfigOp(new ConfigEntry(args[2], args[3]), OpType.SET)
            : new AlterConfigOp(new ConfigEntry(args[2], null), OpType.DELETE);
        try (Admin admin = Cluster.admin(args[0], 30_000)) {
            admin.incrementalAlterConfigs(Map.of(topic, List.of(change))).all().get();
        }
        System.out.println("done");
    }
}
