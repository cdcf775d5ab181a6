package config

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// Endpoint is where a listener is bound or reached.
type Endpoint struct {
	Listener string
	Host     string // empty: every address of the machine
	Port     uint16 // 0: one that is free
}

// Address is the endpoint in the form that net.Listen takes.
func (e Endpoint) Address() string { return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) }

// parseEndpoints reads "NAME://host:port,…".
func parseEndpoints(key, list string) ([]Endpoint, error) {
	var all []Endpoint
	seen := map[string]bool{}
	for _, item := range splitList(list) {
		e, err := parseEndpoint(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if seen[e.Listener] {
			return nil, fmt.Errorf("%s: the listener %s is there twice; give each a name of its own", key, e.Listener)
		}
		seen[e.Listener] = true
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: want at least one, as in PLAINTEXT://127.0.0.1:9092", key)
	}
	return all, nil
}

func parseEndpoint(item string) (Endpoint, error) {
	name, address, ok := strings.Cut(item, "://")
	if !ok || name == "" {
		return Endpoint{}, fmt.Errorf("%q: want NAME://host:port, as in PLAINTEXT://127.0.0.1:9092", item)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q: %w", item, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q: the port should be from 0 to 65535", item)
	}
	return Endpoint{Listener: strings.ToUpper(name), Host: host, Port: uint16(port)}, nil
}

// checkProtocols makes sure that every listener speaks a protocol that is there.
func checkProtocols(listeners []Endpoint, protocolMap string) error {
	protocols := map[string]string{"PLAINTEXT": "PLAINTEXT", "SSL": "SSL", "SASL_PLAINTEXT": "SASL_PLAINTEXT", "SASL_SSL": "SASL_SSL"}
	for _, item := range splitList(protocolMap) {
		name, protocol, ok := strings.Cut(item, ":")
		if !ok {
			return fmt.Errorf("listener.security.protocol.map: %q: want NAME:PROTOCOL", item)
		}
		protocols[strings.ToUpper(name)] = strings.ToUpper(protocol)
	}
	for _, e := range listeners {
		switch protocol := protocols[e.Listener]; protocol {
		case "PLAINTEXT":
		case "":
			return fmt.Errorf("listeners: %s has no protocol; name one in listener.security.protocol.map", e.Listener)
		default:
			return fmt.Errorf("listeners: %s speaks %s, which is not served yet; only PLAINTEXT is", e.Listener, protocol)
		}
	}
	return nil
}

// advertise returns where clients reach the listeners: as advertised.listeners
// says, else where they are bound, under the machine's name where that is every
// address.
func advertise(listeners []Endpoint, advertised string) ([]Endpoint, error) {
	if advertised == "" {
		reached := make([]Endpoint, len(listeners))
		for i, e := range listeners {
			if e.Host == "" || e.Host == "0.0.0.0" || e.Host == "::" {
				host, err := os.Hostname()
				if err != nil {
					return nil, fmt.Errorf("listeners: ask for this machine's name: %w; set advertised.listeners", err)
				}
				e.Host = host
			}
			reached[i] = e
		}
		return reached, nil
	}
	all, err := parseEndpoints("advertised.listeners", advertised)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.Host == "" || e.Host == "0.0.0.0" || e.Host == "::" {
			return nil, fmt.Errorf("advertised.listeners: %s: clients cannot connect to %q; name an address of this machine", e.Listener, e.Host)
		}
	}
	return all, nil
}
