import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/**
 * Runs a single node in the foreground: {@code Launcher HOME [setting=value]...}.
 *
 * <p>It builds the node itself instead of calling the official main class, because that one refuses
 * to run as root and enforces production checks that no test machine passes.
 */
public final class Launcher {
    private Launcher() {}

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Map<String, String> given = new LinkedHashMap<>();
        for (int i = 1; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            given.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        Settings base = Settings.builder().put("path.home", home.toString()).build();
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(base, given, home.resolve("config"), () -> "e2e");

        LogConfigurator.registerErrorListener();
        LogConfigurator.configure(environment);

        Node node = new Node(environment);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node), "close-node"));
        node.start();
        Thread.currentThread().join();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}
