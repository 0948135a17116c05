import java.util.*;
import org.apache.kafka.clients.admin.*;

public final class Topics {
    public static void main(String[] a) throws Exception {
        try (Admin admin = Cluster.admin(a[0], 30_000)) {
            List<NewTopic> all = new ArrayList<>();
            for (String t : "support.events.v1 support.human-feedback.v1 support.decisions.v1 support.feedback.v1 support.decision-reviews.v1 support.dead-letters.v1 support.decisions.shadow.v1 support.ops.v1 support.deferred.10s.v1 support.deferred.1m.v1 support.deferred.10m.v1 support.deferred.1h.v1".split(" "))
                all.add(new NewTopic(t, Integer.parseInt(a[1]), (short) 3).configs(Map.of("max.message.bytes", "4194304")));
            admin.createTopics(all).all().get();
        }
        System.out.println("done");
    }
}
