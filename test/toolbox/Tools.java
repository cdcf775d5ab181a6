import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;
import org.slf4j.LoggerFactory;

/**
 * Runs the main methods of Apache's tools one after the other, as to start a
 * Java machine for each costs more than what most of them do.
 *
 * Standard input has two lines a run: the class and its arguments, separated by
 * tabs, and in base64 what the tool shall read as its standard input. The answer
 * is a line with the exit status and the number of bytes that the tool printed,
 * then those bytes.
 */
public final class Tools {
    /** Ended unwinds a tool that asks for the end of the process. */
    private static final class Ended extends Error {
        Ended() {
            super("the tool ended", null, false, false);
        }
    }

    private static final PrintStream NOWHERE = new PrintStream(OutputStream.nullOutputStream());

    private static Integer status; // that the tool ended with, null while it runs
    private static final List<Runnable> hooks = new ArrayList<>(); // what it does when its process ends

    public static void main(String[] none) throws IOException {
        System.setErr(NOWHERE);
        LoggerFactory.getLogger(Tools.class); // says on standard error that there is no logger
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        PrintStream answers = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            System.setIn(new ByteArrayInputStream(Base64.getDecoder().decode(lines.readLine())));
            int code = run(line.split("\t", -1), new PrintStream(printed, true, StandardCharsets.UTF_8));
            answers.println(code + " " + printed.size());
            answers.write(printed.toByteArray());
            answers.flush();
        }
    }

    /** What a tool says of Ended, which it may catch, is not heard. */
    private static void end(int code) {
        if (status == null) {
            status = code;
            System.setOut(NOWHERE);
            System.setErr(NOWHERE);
        }
        throw new Ended();
    }

    private static int run(String[] words, PrintStream to) {
        status = null;
        System.setOut(to);
        System.setErr(to);
        try {
            Class.forName(words[0]).getMethod("main", String[].class)
                .invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
        } catch (InvocationTargetException e) {
            if (status == null) {
                status = 1;
                e.getCause().printStackTrace(to);
            }
        } catch (ReflectiveOperationException e) {
            status = 127;
            e.printStackTrace(to);
        }
        hooks.forEach(Runnable::run);
        hooks.clear();
        return status == null ? 0 : status;
    }
}
