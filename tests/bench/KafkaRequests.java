import com.sun.tools.attach.VirtualMachine;
import java.util.Map;
import java.util.TreeMap;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Prints how many requests a Kafka of this machine has had so far, by kind; `counts.py` runs it with the process's id. */
class KafkaRequests {
    private static final String EVERY = "kafka.network:type=RequestMetrics,name=RequestsPerSec,version=*,*";

    public static void main(String[] arguments) throws Exception {
        var machine = VirtualMachine.attach(arguments[0]);
        var address = new JMXServiceURL(machine.startLocalManagementAgent());
        machine.detach();
        try (var connector = JMXConnectorFactory.connect(address)) {
            count(connector.getMBeanServerConnection()).forEach((kind, count) -> System.out.println(kind + " " + count));
        }
    }

    private static Map<String, Long> count(MBeanServerConnection kafka) throws Exception {
        var counts = new TreeMap<String, Long>();
        for (ObjectName name : kafka.queryNames(new ObjectName(EVERY), null)) {
            counts.merge(name.getKeyProperty("request"), (Long) kafka.getAttribute(name, "Count"), Long::sum);
        }
        return counts;
    }
}
