import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.openlineage.client.OpenLineage;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads a file of events by OpenLineage's own classes, refuses what they do not know, and counts events and columns. */
public class ReadLineage {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper reader = new ObjectMapper()
                .registerModule(new JavaTimeModule())
                .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, true);
        int events = 0;
        int columns = 0;
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            OpenLineage.RunEvent event = reader.readValue(line, OpenLineage.RunEvent.class);
            events++;
            for (OpenLineage.OutputDataset output : event.getOutputs()) {
                if (output.getFacets() != null && output.getFacets().getColumnLineage() != null) {
                    columns += output.getFacets().getColumnLineage().getFields().getAdditionalProperties().size();
                }
            }
        }
        System.out.println(events + " " + columns);
    }
}
