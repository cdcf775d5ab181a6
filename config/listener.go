package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
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

// The protocols that listeners may speak.
const (
	Plaintext     = "PLAINTEXT"
	SSL           = "SSL"
	SASLPlaintext = "SASL_PLAINTEXT"
	SASLSSL       = "SASL_SSL"
)

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

// fillListeners reads where the node listens and where it is reached.
func (b *Broker) fillListeners() error {
	bound, err := parseEndpoints("listeners", b.value("listeners"))
	if err != nil {
		return err
	}
	if err := checkPorts(bound); err != nil {
		return err
	}
	b.bound = bound
	var advertised []Endpoint // as it is set, if it is
	if list := b.value("advertised.listeners"); list != "" {
		if advertised, err = parseEndpoints("advertised.listeners", list); err != nil {
			return err
		}
	}
	b.ControllerListenerNames = splitList(strings.ToUpper(b.value("controller.listener.names")))
	if err := b.fillControllerListeners(bound, advertised); err != nil {
		return err
	}
	b.Listeners = without(bound, b.ControllerListenerNames)
	if !b.Roles.Broker {
		b.InterBrokerListener = strings.ToUpper(b.value("inter.broker.listener.name"))
		return b.checkControllerAlone()
	}
	if len(b.Listeners) == 0 {
		return errors.New("listeners: controller.listener.names has all of them; clients need one, as in PLAINTEXT://127.0.0.1:9092")
	}
	for _, e := range b.Listeners {
		if err := b.checkProtocol("listeners", e.Listener); err != nil {
			return err
		}
	}
	if b.AdvertisedListeners, err = advertise(b.Listeners, b.ControllerListenerNames, advertised); err != nil {
		return err
	}
	return b.fillInterBrokerListener()
}

// checkPorts makes sure that no two listeners are to be bound to one address.
func checkPorts(bound []Endpoint) error {
	at := map[string]string{}
	for _, e := range bound {
		if other, taken := at[e.Address()]; taken && e.Port != 0 {
			return fmt.Errorf("listeners: %s and %s are both at %s; give each a port of its own", other, e.Listener, e.Address())
		}
		at[e.Address()] = e.Listener
	}
	return nil
}

// fillInterBrokerListener chooses the listener that other brokers use.
func (b *Broker) fillInterBrokerListener() error {
	b.InterBrokerListener = b.AdvertisedListeners[0].Listener
	protocol, set := b.values["security.inter.broker.protocol"]
	if set || has(b.AdvertisedListeners, Plaintext) {
		b.InterBrokerListener = b.value("security.inter.broker.protocol")
	}
	if name := strings.ToUpper(b.value("inter.broker.listener.name")); name != "" {
		if set {
			return fmt.Errorf("inter.broker.listener.name is %s and security.inter.broker.protocol is %s: they are two names of one thing, set one of them", name, protocol)
		}
		b.InterBrokerListener = name
	}
	if !has(b.AdvertisedListeners, b.InterBrokerListener) {
		return fmt.Errorf("inter.broker.listener.name: no listener %s is advertised", b.InterBrokerListener)
	}
	return nil
}

// Protocol is what a listener of this node speaks.
func (b *Broker) Protocol(listener string) string {
	_, secured := b.TLS[listener]
	_, asks := b.SASL[listener]
	switch {
	case secured && asks:
		return SASLSSL
	case secured:
		return SSL
	case asks:
		return SASLPlaintext
	}
	return Plaintext
}

func find(endpoints []Endpoint, listener string) (e Endpoint, found bool) {
	at := slices.IndexFunc(endpoints, func(e Endpoint) bool { return e.Listener == listener })
	if at < 0 {
		return e, false
	}
	return endpoints[at], true
}

func has(endpoints []Endpoint, listener string) bool {
	_, found := find(endpoints, listener)
	return found
}

// without leaves out the listeners that only controllers use.
func without(endpoints []Endpoint, names []string) []Endpoint {
	return slices.DeleteFunc(slices.Clone(endpoints), func(e Endpoint) bool { return slices.Contains(names, e.Listener) })
}

// protocols are the protocols of the listeners by their names, in upper case.
// Where none are set, those of controllers speak PLAINTEXT, whatever they are
// called.
func (b *Broker) protocols() (protocols map[string]string, err error) {
	protocols = map[string]string{}
	if _, set := b.values["listener.security.protocol.map"]; !set {
		for _, name := range b.ControllerListenerNames {
			protocols[name] = "PLAINTEXT"
		}
	}
	for _, item := range splitList(b.value("listener.security.protocol.map")) {
		name, protocol, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("listener.security.protocol.map: %q: want NAME:PROTOCOL", item)
		}
		protocols[strings.ToUpper(name)] = strings.ToUpper(protocol)
	}
	return protocols, nil
}

// checkProtocol makes sure that a listener speaks a protocol that is there. key is
// where it is named.
func (b *Broker) checkProtocol(key, listener string) error {
	protocols, err := b.protocols()
	if err != nil {
		return err
	}
	switch protocol := protocols[listener]; protocol {
	case Plaintext:
		return nil
	case SSL:
		return b.fillTLS(key, listener, protocol)
	case SASLPlaintext:
		return b.fillSASL(listener)
	case SASLSSL:
		return errors.Join(b.fillTLS(key, listener, protocol), b.fillSASL(listener))
	case "":
		return fmt.Errorf("%s: %s has no protocol; name one in listener.security.protocol.map", key, listener)
	default:
		return fmt.Errorf("%s: %s speaks %s, which is not served; PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL are", key, listener, protocol)
	}
}

// advertise returns where clients reach the listeners: as advertised.listeners
// says, else where they are bound, under the machine's name where that is every
// address.
func advertise(listeners []Endpoint, controllers []string, advertised []Endpoint) ([]Endpoint, error) {
	if len(advertised) == 0 {
		return reachable(listeners)
	}
	all := without(advertised, controllers)
	if len(all) == 0 {
		return nil, errors.New("advertised.listeners: has only listeners of controllers; clients need one")
	}
	for _, e := range all {
		switch {
		case everyAddress(e.Host):
			return nil, cannotConnect(e)
		case !has(listeners, e.Listener):
			return nil, fmt.Errorf("advertised.listeners: %s is not among the listeners; add it there too", e.Listener)
		}
	}
	return all, nil
}

func cannotConnect(e Endpoint) error {
	return fmt.Errorf("advertised.listeners: %s: nobody can connect to %q; name an address of this machine", e.Listener, e.Host)
}

func everyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// reachable gives listeners that are bound to every address the machine's name.
func reachable(listeners []Endpoint) ([]Endpoint, error) {
	reached := slices.Clone(listeners)
	for i, e := range reached {
		if !everyAddress(e.Host) {
			continue
		}
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("listeners: ask for this machine's name: %w; set advertised.listeners", err)
		}
		reached[i].Host = host
	}
	return reached, nil
}
