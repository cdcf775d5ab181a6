package brokers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Cluster is several nodes, each of them broker and controller, or where that was
// asked for so many controllers apart from the brokers. Its methods, and those of its
// nodes, are for one goroutine at a time.
type Cluster struct {
	Kind        string  // "klamm" or "apache"
	ID          string  // its cluster id
	Nodes       []*Node // the brokers: the one with id n is at n-1; those of Join come after
	Controllers []*Node // those apart from the brokers
	Dir         string  // the folder of the nodes' folders

	software software
	quorum   string // controller.quorum.voters
	settings map[string]string
	java     []string
}

// Node is one node of a cluster.
type Node struct {
	*Broker
	ID         int32
	Controller string // host:port of its controller listener

	cluster    *Cluster
	properties string // the file that sets it
}

// software is what one kind of node is.
type software struct {
	name   string
	format func(properties, clusterID string) ([]string, error)     // a command line
	serve  func(properties string, java []string) ([]string, error) // a command line
	own    map[string]string                                        // settings of this kind alone
}

// testClusterID is the cluster that nodes are formatted for.
const testClusterID = "a2xhbW0tdGVzdC0wMDAwMQ"

// KlammCluster builds the broker of this tree and returns so many nodes of it,
// formatted but not started yet.
func KlammCluster(nodes int, opts Options) (*Cluster, error) {
	binary, err := BuildKlamm()
	if err != nil {
		return nil, err
	}
	return newCluster(software{
		name: "klamm",
		format: func(properties, clusterID string) ([]string, error) {
			return []string{binary, "format", "--config", properties, "--cluster-id", clusterID}, nil
		},
		serve: func(properties string, _ []string) ([]string, error) {
			return []string{binary, "serve", "--config", properties}, nil
		},
		own: map[string]string{"klamm.http.listener": "127.0.0.1:0"},
	}, nodes, opts)
}

// ApacheCluster returns so many nodes of Apache Kafka, formatted but not started
// yet. The heap of each is 256 MiB unless the options say otherwise.
func ApacheCluster(nodes int, opts Options) (*Cluster, error) {
	if opts.Java == nil {
		opts.Java = append(smallJava("256m"), "-XX:TieredStopAtLevel=1")
	}
	return newCluster(software{
		name: "apache",
		format: func(properties, clusterID string) ([]string, error) {
			return kafkaJava(smallJava("128m"), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)
		},
		serve: func(properties string, java []string) ([]string, error) {
			return kafkaJava(java, "kafka.Kafka", properties)
		},
		own: map[string]string{
			"share.coordinator.state.topic.replication.factor": "1",
			"share.coordinator.state.topic.min.isr":            "1",
		},
	}, nodes, opts)
}

func newCluster(s software, nodes int, opts Options) (*Cluster, error) {
	c := &Cluster{Kind: s.name, ID: testClusterID, Dir: opts.Dir, software: s, settings: opts.Settings, java: opts.Java}
	if opts.Controllers > 0 {
		return c, c.newApart(nodes, opts.Controllers)
	}
	ports, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	var voters []string
	for id := range nodes {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", id+1, ports[2*id+1]))
	}
	c.quorum = strings.Join(voters, ",")
	for id := range nodes {
		n, err := c.newNode(int32(id+1), "broker,controller", ports[2*id], ports[2*id+1])
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c, c.each(func(n *Node) error { return n.Format(c.ID) })
}

// firstApart is the id of the first controller that is no broker.
const firstApart = 101

// newApart makes the nodes of a cluster whose controllers are no brokers.
func (c *Cluster) newApart(nodes, controllers int) error {
	ports, err := freePorts(nodes + controllers)
	if err != nil {
		return err
	}
	var voters []string
	for i := range controllers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", firstApart+i, ports[i]))
	}
	c.quorum = strings.Join(voters, ",")
	for i, port := range ports {
		if i < controllers {
			n, err := c.newNode(int32(firstApart+i), "controller", 0, port)
			if err != nil {
				return err
			}
			c.Controllers = append(c.Controllers, n)
			continue
		}
		n, err := c.newNode(int32(i-controllers+1), "broker", port, 0)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c.each(func(n *Node) error { return n.Format(c.ID) })
}

// Join returns one more node, which is a broker and no controller, formatted but
// not started yet. Its id may be one that another node has.
func (c *Cluster) Join(id int32) (*Node, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	n, err := c.newNode(id, "broker", ports[0], 0)
	if err != nil {
		return nil, err
	}
	c.Nodes = append(c.Nodes, n)
	return n, n.Format(c.ID)
}

// Leave forgets a node, which must be stopped.
func (c *Cluster) Leave(n *Node) error {
	if n.PID() != 0 {
		return fmt.Errorf("forget %s: it runs", n.Name)
	}
	c.Nodes = c.Others(n)
	return nil
}

// newNode makes a node's folder and writes its settings.
func (c *Cluster) newNode(id int32, roles string, port, controller int) (*Node, error) {
	name := fmt.Sprintf("%s-%d", c.Kind, id)
	same := 0
	for _, other := range c.Nodes {
		if other.ID == id {
			same++
		}
	}
	name += strings.Repeat("-again", same)
	b, err := newBrokerAt(name, c.Dir, port)
	if err != nil {
		return nil, err
	}
	n := &Node{Broker: b, ID: id, cluster: c, properties: filepath.Join(c.Dir, name+".properties")}
	var listeners []string
	if port != 0 {
		listeners = append(listeners, "PLAINTEXT://"+b.Addr)
	}
	if controller != 0 {
		n.Controller = fmt.Sprintf("127.0.0.1:%d", controller)
		listeners = append(listeners, "CONTROLLER://"+n.Controller)
	}
	settings := merged(merged(c.nodeSettings(n, roles, strings.Join(listeners, ",")), c.software.own), c.settings)
	if port == 0 {
		delete(settings, "advertised.listeners")
	}
	if err := writeProperties(n.properties, settings); err != nil {
		return nil, err
	}
	line, err := c.software.serve(n.properties, c.java)
	if err != nil {
		return nil, err
	}
	b.command = commandOf(line)
	return n, nil
}

func (c *Cluster) nodeSettings(n *Node, roles, listeners string) map[string]string {
	return map[string]string{
		"process.roles":                            roles,
		"node.id":                                  strconv.Itoa(int(n.ID)),
		"controller.quorum.voters":                 c.quorum,
		"listeners":                                listeners,
		"advertised.listeners":                     "PLAINTEXT://" + n.Addr,
		"controller.listener.names":                "CONTROLLER",
		"log.dirs":                                 n.Data,
		"offsets.topic.replication.factor":         "3",
		"transaction.state.log.replication.factor": "3",
		"transaction.state.log.min.isr":            "2",
		"group.initial.rebalance.delay.ms":         "0",
	}
}

// Format makes the node's folder one of the cluster with that id.
func (n *Node) Format(clusterID string) error {
	line, err := n.cluster.software.format(n.properties, clusterID)
	if err != nil {
		return err
	}
	if out, err := commandOf(line)().CombinedOutput(); err != nil {
		return fmt.Errorf("format the folder of %s: %w\n%s", n.Name, err, out)
	}
	return nil
}

// Runs says of which binary of Klamm the node is from its next start on. It must be
// stopped.
func (n *Node) Runs(binary string) {
	n.command = commandOf([]string{binary, "serve", "--config", n.properties})
}

// Wipe is what a lost disk leaves: an empty folder, formatted again. The node must
// be stopped.
func (n *Node) Wipe() error { return n.WipeFor(n.cluster.ID) }

// WipeFor is Wipe with a folder that is formatted for another cluster.
func (n *Node) WipeFor(clusterID string) error {
	if n.PID() != 0 {
		return fmt.Errorf("wipe %s: it runs", n.Name)
	}
	if err := os.RemoveAll(n.Data); err != nil {
		return fmt.Errorf("wipe %s: %w", n.Name, err)
	}
	if err := os.MkdirAll(n.Data, 0o755); err != nil {
		return fmt.Errorf("wipe %s: %w", n.Name, err)
	}
	return n.Format(clusterID)
}

// Start starts all nodes and returns when each of them knows all.
func (c *Cluster) Start(ctx context.Context) error {
	for _, n := range c.All() {
		if err := n.Launch(); err != nil {
			return errors.Join(err, c.Kill())
		}
	}
	return c.AwaitInSync(ctx)
}

// Stop asks all nodes to end, all at once, and waits for them. Nodes of Apache
// Kafka wait for minutes for a controller that has ended; they are killed, which
// costs them no data.
func (c *Cluster) Stop() error {
	if c.Kind == "apache" {
		return c.Kill()
	}
	return c.each(func(n *Node) error { return n.Stop() })
}

// Kill ends all nodes with SIGKILL and waits for them.
func (c *Cluster) Kill() error { return c.each(func(n *Node) error { return n.Kill() }) }

// each does something to all nodes at once.
func (c *Cluster) each(do func(*Node) error) error {
	errs := make([]error, len(c.All()))
	var all sync.WaitGroup
	for i, n := range c.All() {
		all.Go(func() { errs[i] = do(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// All are the brokers, and the controllers apart from them.
func (c *Cluster) All() []*Node { return slices.Concat(c.Controllers, c.Nodes) }

// Seeds are the addresses by which clients find the cluster.
func (c *Cluster) Seeds() (addrs []string) {
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// Node returns the node with that id, nil where there is none.
func (c *Cluster) Node(id int32) *Node {
	for _, n := range c.All() {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Others are all nodes but one.
func (c *Cluster) Others(than *Node) (others []*Node) {
	for _, n := range c.Nodes {
		if n != than {
			others = append(others, n)
		}
	}
	return others
}

// Report returns, of each node, what it printed of errors and the end of all that
// it printed.
func (c *Cluster) Report() string {
	var out strings.Builder
	for _, n := range c.All() {
		for _, word := range []string{"level=ERROR", " ERROR ", "FATAL", "panic:"} {
			lines, _ := n.Lines(word) // what cannot be read has nothing to tell
			for _, line := range lines[:min(len(lines), 10)] {
				fmt.Fprintf(&out, "%s: %s\n", n.Name, line)
			}
		}
		fmt.Fprintf(&out, "the end of what %s printed:\n%s\n", n.Name, n.tail(6000))
	}
	return out.String()
}
