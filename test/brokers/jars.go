package brokers

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// pom names Apache Kafka's broker, tools and client at the version that Klamm
// is compared with.
//
//go:embed pom.xml
var pom []byte

//go:embed log4j2.yaml
var log4j2 []byte

// ErrNoJava says that this machine cannot run Apache Kafka.
var ErrNoJava = errors.New("no JDK with java, javac and mvn on the path")

// HasJava reports ErrNoJava where the commands that Apache Kafka needs are missing.
func HasJava() error {
	for _, name := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(name); err != nil {
			return ErrNoJava
		}
	}
	return nil
}

// Jars returns a folder with Apache Kafka's jars, downloaded by Maven the first
// time that this pom is asked for.
var Jars = sync.OnceValues(func() (string, error) {
	if err := HasJava(); err != nil {
		return "", err
	}
	home, err := Cache("kafka")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(home, "log4j2.yaml"), log4j2, 0o644); err != nil {
		return "", fmt.Errorf("write apache's log settings: %w", err)
	}
	libs, kept := filepath.Join(home, "libs"), filepath.Join(home, "pom.xml")
	if have, err := os.ReadFile(kept); err == nil && bytes.Equal(have, pom) {
		return libs, nil
	}
	return libs, downloadJars(libs, kept)
})

// downloadJars fills the folder and keeps the pom last, as the mark of success.
func downloadJars(libs, kept string) error {
	if err := os.RemoveAll(libs); err != nil {
		return fmt.Errorf("empty the jar folder: %w", err)
	}
	fresh := kept + ".new"
	if err := os.WriteFile(fresh, pom, 0o644); err != nil {
		return fmt.Errorf("write the pom: %w", err)
	}
	mvn := exec.Command("mvn", "-q", "-B", "-f", fresh, "dependency:copy-dependencies", "-DoutputDirectory="+libs)
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("download apache's jars: %w\n%s", err, out)
	}
	return os.Rename(fresh, kept)
}

// Tool returns a command that runs one of Apache's tools, named by its class.
func Tool(class string, args ...string) (*exec.Cmd, error) {
	java, err := kafkaJava(smallJava("256m"), class, args...)
	if err != nil {
		return nil, err
	}
	return exec.Command(java[0], java[1:]...), nil
}

// smallJava are options of a JVM that shares the machine.
func smallJava(heap string) []string {
	return []string{"-Xmx" + heap, "-Xshare:auto", "-XX:+UseSerialGC"}
}

// kafkaJava returns the command line of a class on Apache Kafka's class path.
func kafkaJava(options []string, class string, args ...string) ([]string, error) {
	libs, err := Jars()
	if err != nil {
		return nil, err
	}
	line := append([]string{"java"}, options...)
	line = append(line,
		"-Dlog4j2.configurationFile="+filepath.Join(filepath.Dir(libs), "log4j2.yaml"),
		"-cp", filepath.Join(libs, "*"), class)
	return append(line, args...), nil
}
