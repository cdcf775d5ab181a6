package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Roles is what a node does in its cluster.
type Roles struct {
	Broker     bool // it keeps partitions and serves clients
	Controller bool // it has a vote on the cluster's metadata
	Set        bool // process.roles is set; where it is not, the node is a cluster of its own and does both
}

// Voter is a controller that votes, and where its listener is reached.
type Voter struct {
	ID   int32
	Host string
	Port uint16
}

// Address is where the voter is reached, in the form that net.Dial takes.
func (v Voter) Address() string { return net.JoinHostPort(v.Host, strconv.Itoa(int(v.Port))) }

// RackAwareSelector is the one value of replica.selector.class.
const RackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

// voterList is the form of controller.quorum.voters.
var voterList = rule{"ID@host:port, …", func(name, value string) error {
	if _, err := ParseVoters(value); err != nil {
		return invalid(name, value, fmt.Sprintf("%v; want ID@host:port, as in 1@localhost:9093", err))
	}
	return nil
}}

// addressList is a list of places that can be connected to.
var addressList = rule{"host:port, …", func(name, value string) error {
	for _, item := range splitList(value) {
		if _, _, err := parseAddress(item); err != nil {
			return invalid(name, value, fmt.Sprintf("%v; want host:port, as in localhost:9093", err))
		}
	}
	return nil
}}

// ParseVoters reads "ID@host:port,…".
func ParseVoters(list string) ([]Voter, error) {
	var all []Voter
	for _, item := range splitList(list) {
		id, address, found := strings.Cut(item, "@")
		number, err := strconv.ParseInt(id, 10, 32)
		if !found || err != nil || number < 0 {
			return nil, fmt.Errorf("%q does not begin with a node's number", item)
		}
		v := Voter{ID: int32(number)}
		if v.Host, v.Port, err = parseAddress(address); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(other Voter) bool { return other.ID == v.ID }) {
			return nil, fmt.Errorf("node %d is there twice", v.ID)
		}
		if at := slices.IndexFunc(all, func(other Voter) bool { return other.Host == v.Host && other.Port == v.Port }); at >= 0 {
			return nil, fmt.Errorf("nodes %d and %d are both at %s", all[at].ID, v.ID, v.Address())
		}
		all = append(all, v)
	}
	return all, nil
}

// hostName has the characters that Kafka takes in a host's name or address.
var hostName = regexp.MustCompile(`^[0-9a-zA-Z%._:-]+$`)

// parseAddress reads host:port of a place that can be connected to.
func parseAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q: %w", address, err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || number == 0:
		return "", 0, fmt.Errorf("%q: the port should be from 1 to 65535", address)
	case everyAddress(host):
		return "", 0, fmt.Errorf("%q: nobody can connect to the host %q", address, host)
	case !hostName.MatchString(host):
		return "", 0, fmt.Errorf("%q: %q is no name of a host", address, host)
	}
	return host, uint16(number), nil
}

// fillRoles reads what the node is and who else is there.
func (b *Broker) fillRoles() (err error) {
	roles := splitList(b.value("process.roles"))
	b.Roles = Roles{
		Broker: slices.Contains(roles, "broker"), Controller: slices.Contains(roles, "controller"),
		Set: len(splitList(b.values["process.roles"])) > 0,
	}
	if !b.Roles.Set {
		b.Roles.Broker, b.Roles.Controller = true, true
		return nil
	}
	if _, set := b.values["node.id"]; !set {
		return errors.New("node.id is not set: with process.roles each node of the cluster needs a number of its own")
	}
	for _, server := range splitList(b.value("controller.quorum.bootstrap.servers")) {
		host, port, err := parseAddress(server)
		if err != nil {
			return fmt.Errorf("controller.quorum.bootstrap.servers: %w", err)
		}
		b.BootstrapServers = append(b.BootstrapServers, Endpoint{Host: host, Port: port})
	}
	if b.Voters, err = ParseVoters(b.value("controller.quorum.voters")); err != nil {
		return fmt.Errorf("controller.quorum.voters: %w", err)
	}
	return b.checkVoters()
}

// checkVoters makes sure that the node can find the controllers, and is one of
// them just where it should be.
func (b *Broker) checkVoters() error {
	votes := slices.ContainsFunc(b.Voters, func(v Voter) bool { return v.ID == b.NodeID })
	switch {
	case len(b.Voters) == 0 && len(b.BootstrapServers) == 0:
		return errors.New("with process.roles either controller.quorum.bootstrap.servers must name controllers, as in localhost:9093, " +
			"or controller.quorum.voters must list all of them, as in 1@localhost:9093")
	case b.Roles.Controller && len(b.Voters) > 0 && !votes:
		return fmt.Errorf("controller.quorum.voters is %s: node %d, which is a controller by process.roles, must be among them; "+
			"add it on all nodes, or take the role away", b.value("controller.quorum.voters"), b.NodeID)
	case !b.Roles.Controller && votes:
		return fmt.Errorf("controller.quorum.voters is %s: node %d, which is no controller by process.roles, must not be among them; "+
			"give it another node.id, or the role", b.value("controller.quorum.voters"), b.NodeID)
	}
	return nil
}

// fillControllerListeners reads where the node, if it is a controller in a
// cluster, listens for other nodes, and where they reach it. All nodes of a
// cluster name the listeners that they reach controllers by.
func (b *Broker) fillControllerListeners(bound, advertised []Endpoint) error {
	if !b.Roles.Set {
		return nil
	}
	const key = "controller.listener.names"
	if len(b.ControllerListenerNames) == 0 {
		return errors.New(key + " is not set: with process.roles it names the listeners that controllers are reached by, as in CONTROLLER")
	}
	for _, name := range b.ControllerListenerNames {
		if err := b.checkProtocol(key, name); err != nil {
			return err
		}
		at, is := find(bound, name)
		switch {
		case is && !b.Roles.Controller:
			return fmt.Errorf("listeners: %s is one of %s, which only a controller binds; leave it out, or add controller to process.roles", name, key)
		case !is && b.Roles.Controller:
			return fmt.Errorf("%s: %s is not among the listeners, where a controller binds it; add it there, as in %s://:9093", key, name, name)
		case !is:
			continue
		}
		b.ControllerListeners = append(b.ControllerListeners, at)
		if told, is := find(advertised, name); is {
			at = told
			if everyAddress(at.Host) {
				return cannotConnect(at)
			}
		}
		b.ControllerAdvertised = append(b.ControllerAdvertised, at)
	}
	var err error
	b.ControllerAdvertised, err = reachable(b.ControllerAdvertised)
	return err
}

// checkControllerAlone makes sure that a node which is no broker has no listeners
// for clients.
func (b *Broker) checkControllerAlone() error {
	if len(b.Listeners) == 0 {
		return nil
	}
	return fmt.Errorf("listeners: %s is not one of controller.listener.names, and with process.roles=controller there is nothing to serve clients with; "+
		"leave it out, or add broker to process.roles", b.Listeners[0].Listener)
}

// fillReplication reads how nodes keep up with each other.
func (b *Broker) fillReplication() error {
	b.BrokerSessionTimeout, b.BrokerHeartbeatInterval = b.ms("broker.session.timeout.ms"), b.ms("broker.heartbeat.interval.ms")
	b.QuorumElectionTimeout = b.ms("controller.quorum.election.timeout.ms")
	b.QuorumFetchTimeout = b.ms("controller.quorum.fetch.timeout.ms")
	b.QuorumRequestTimeout = b.ms("controller.quorum.request.timeout.ms")
	b.ReplicaLagMax = b.ms("replica.lag.time.max.ms")
	b.ReplicaFetchWait, b.ReplicaFetchBackoff = b.ms("replica.fetch.wait.max.ms"), b.ms("replica.fetch.backoff.ms")
	b.ReplicaFetchMinBytes, b.ReplicaFetchMaxBytes = int32(b.int("replica.fetch.min.bytes")), int32(b.int("replica.fetch.max.bytes"))
	b.ReplicaFetchResponseMaxBytes = int32(b.int("replica.fetch.response.max.bytes"))
	b.ReplicaSelector = b.value("replica.selector.class")
	b.LeaderImbalanceCheck = units(b.int("leader.imbalance.check.interval.seconds"), time.Second)
	b.LeaderImbalancePercent = int(b.int("leader.imbalance.per.broker.percentage"))
	b.AutoLeaderRebalance, b.ControlledShutdown = b.bool("auto.leader.rebalance.enable"), b.bool("controlled.shutdown.enable")
	switch {
	case b.BrokerHeartbeatInterval >= b.BrokerSessionTimeout:
		return fmt.Errorf("broker.heartbeat.interval.ms is %d and broker.session.timeout.ms is %d: "+
			"the session must be longer, or a broker is taken for gone between two heartbeats",
			b.BrokerHeartbeatInterval.Milliseconds(), b.BrokerSessionTimeout.Milliseconds())
	case b.ReplicaFetchWait > b.ReplicaLagMax:
		return fmt.Errorf("replica.fetch.wait.max.ms is %d and replica.lag.time.max.ms is %d: "+
			"the lag must be at least as long, or followers that only wait are taken out of the in-sync replicas",
			b.ReplicaFetchWait.Milliseconds(), b.ReplicaLagMax.Milliseconds())
	}
	return nil
}
