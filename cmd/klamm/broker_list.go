package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

// listedBroker is one broker of `klamm broker list`.
type listedBroker struct {
	Broker     int32       `json:"broker"`
	Host       string      `json:"host"`
	Port       int32       `json:"port"`
	Rack       string      `json:"rack"`
	Fenced     bool        `json:"fenced"`
	Controller bool        `json:"controller"`
	Leaders    int         `json:"leaders"`
	Replicas   int         `json:"replicas"`
	LogBytes   *int64      `json:"log_bytes"` // of its replicas; null where it does not tell
	LogDirs    []listedDir `json:"log_dirs"`
}

// listedDir is one of a broker's folders. Bytes are null where they are not told.
type listedDir struct {
	Path        string `json:"path"`
	UsableBytes *int64 `json:"usable_bytes"`
	TotalBytes  *int64 `json:"total_bytes"`
	Cordoned    bool   `json:"cordoned"`
	Error       string `json:"error"`
}

func newBrokerListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List brokers, what they hold, and their disks",
		Args:  arguments(0, 0),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			brokers, err := env.listBrokers(cmd.Context(), client)
			if err != nil {
				return err
			}
			return env.show(*output, brokerTable(brokers), brokers)
		})
	}
	return cmd
}

func (e *environment) listBrokers(ctx context.Context, client *kgo.Client) ([]listedBroker, error) {
	f, err := gather(ctx, client, askLogDirs, askQuorum)
	if err != nil {
		return nil, err
	}
	if !f.FencedKnown {
		e.note("This cluster does not tell of brokers that are fenced: they are left out.")
	}
	brokers := []listedBroker{}
	for i := range f.Brokers {
		brokers = append(brokers, describeBroker(f, &f.Brokers[i]))
	}
	return brokers, nil
}

func describeBroker(f *health.Facts, b *health.Broker) listedBroker {
	listed := listedBroker{
		Broker: b.ID, Host: b.Host, Port: b.Port, Rack: b.Rack, Fenced: b.Fenced, Controller: b.ID == f.Controller, LogDirs: []listedDir{},
	}
	var bytes int64
	for i := range f.Partitions {
		p := &f.Partitions[i]
		bytes += p.Sizes[b.ID]
		if p.Leader == b.ID {
			listed.Leaders++
		}
		if slices.Contains(p.Replicas, b.ID) {
			listed.Replicas++
		}
	}
	for _, d := range b.Dirs {
		listed.LogBytes = &bytes
		listed.LogDirs = append(listed.LogDirs, listedDir{d.Path, toldBytes(d.Usable), toldBytes(d.Total), d.Cordoned, d.Failed})
	}
	return listed
}

func toldBytes(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func brokerTable(brokers []listedBroker) *table {
	t := newTable("BROKER", "RACK", "HOST", "STATE", "CONTROLLER", "LEADERS", "REPLICAS", "LOGS", "DISK-FREE")
	for _, b := range brokers {
		state, controller, logs := "active", "", ""
		if b.Fenced {
			state = "fenced"
		}
		if b.Controller {
			controller = "yes"
		}
		if b.LogBytes != nil {
			logs = quantity.Bytes(float64(*b.LogBytes))
		}
		t.add(b.Broker, b.Rack, fmt.Sprintf("%s:%d", b.Host, b.Port), state, controller, b.Leaders, b.Replicas, logs, diskFree(b.LogDirs))
	}
	return t
}

// diskFree is what is free on the disk of a broker that has least.
func diskFree(dirs []listedDir) string {
	least, text := 101.0, ""
	for _, d := range dirs {
		if d.Error != "" {
			return "failed"
		}
		if d.UsableBytes == nil || d.TotalBytes == nil || *d.TotalBytes == 0 {
			continue
		}
		if percent := float64(*d.UsableBytes) / float64(*d.TotalBytes) * 100; percent < least {
			least, text = percent, fmt.Sprintf("%s (%.0f %%)", quantity.Bytes(float64(*d.UsableBytes)), percent)
		}
	}
	return text
}
