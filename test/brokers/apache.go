package brokers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Apache returns an Apache Kafka broker with a controller in the same process,
// formatted but not started yet. Its heap is 512 MiB unless KLAMM_APACHE_HEAP
// says otherwise.
func Apache(opts Options) (*Broker, error) {
	b, err := newBroker("apache", opts)
	if err != nil {
		return nil, err
	}
	controller, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	settings := merged(apacheSettings(b, controller[0]), opts.Settings)
	properties := filepath.Join(opts.Dir, "apache.properties")
	if err := writeProperties(properties, settings); err != nil {
		return nil, err
	}
	format, err := Tool("kafka.tools.StorageTool", "format", "-t", testClusterID, "-c", properties)
	if err != nil {
		return nil, err
	}
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format apache's folder: %w\n%s", err, out)
	}
	options := opts.Java
	if options == nil {
		options = smallJava(apacheHeap())
	}
	java, err := kafkaJava(options, "kafka.Kafka", properties)
	if err != nil {
		return nil, err
	}
	b.command = commandOf(java)
	return b, nil
}

func apacheSettings(b *Broker, controller int) map[string]string {
	return map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  "1",
		"controller.quorum.voters":                 fmt.Sprintf("1@127.0.0.1:%d", controller),
		"listeners":                                fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", b.Addr, controller),
		"advertised.listeners":                     "PLAINTEXT://" + b.Addr,
		"controller.listener.names":                "CONTROLLER",
		"log.dirs":                                 b.Data,
		"offsets.topic.replication.factor":         "1",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"group.initial.rebalance.delay.ms":                 "0",
	}
}

func apacheHeap() string {
	if heap := os.Getenv("KLAMM_APACHE_HEAP"); heap != "" {
		return heap
	}
	return "512m"
}

func writeProperties(path string, settings map[string]string) error {
	var text strings.Builder
	for _, key := range sortedKeys(settings) {
		fmt.Fprintf(&text, "%s=%s\n", key, settings[key])
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write a broker's settings: %w", err)
	}
	return nil
}
