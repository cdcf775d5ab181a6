package config

import (
	"os"
	"strings"
	"testing"
)

func addresses(endpoints []Endpoint) string {
	var all []string
	for _, e := range endpoints {
		all = append(all, e.Listener+"://"+e.Address())
	}
	return strings.Join(all, ",")
}

func TestListeners(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const controllers = "controller.listener.names=CONTROLLER"
	for _, c := range []struct {
		name              string
		sets              []string
		bound, advertised string // advertised is the same where it is empty
		broker            string
	}{
		{"one", []string{"listeners=PLAINTEXT://10.0.0.1:9092"}, "PLAINTEXT://10.0.0.1:9092", "", "PLAINTEXT"},
		{"every address", []string{"listeners=PLAINTEXT://:9092"}, "PLAINTEXT://:9092", "PLAINTEXT://" + host + ":9092", "PLAINTEXT"},
		{"every IPv4 address", []string{"listeners=PLAINTEXT://0.0.0.0:9092"}, "PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://" + host + ":9092", "PLAINTEXT"},
		{"IPv6", []string{"listeners=plaintext://[::1]:9092"}, "PLAINTEXT://[::1]:9092", "", "PLAINTEXT"},
		{"advertised", []string{"listeners=PLAINTEXT://:9092", "advertised.listeners=PLAINTEXT://kafka.example:19092"}, "PLAINTEXT://:9092", "PLAINTEXT://kafka.example:19092", "PLAINTEXT"},
		{"names of one's own", []string{"listeners=INNER://a:1,OUTER://b:2", "listener.security.protocol.map=INNER:PLAINTEXT,outer:plaintext", "inter.broker.listener.name=OUTER"},
			"INNER://a:1,OUTER://b:2", "", "OUTER"},
		{"Kafka's controller", []string{"listeners=PLAINTEXT://a:9092,CONTROLLER://:9093", controllers}, "PLAINTEXT://a:9092", "", "PLAINTEXT"},
		{"Kafka's controller, advertised", []string{"listeners=PLAINTEXT://a:9092,CONTROLLER://:9093", "advertised.listeners=CONTROLLER://b:9093,PLAINTEXT://b:9092", controllers},
			"PLAINTEXT://a:9092", "PLAINTEXT://b:9092", "PLAINTEXT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.advertised == "" {
				c.advertised = c.bound
			}
			b, _, err := Load("", nil, c.sets)
			if err != nil {
				t.Fatal(err)
			}
			if got := addresses(b.Listeners); got != c.bound {
				t.Errorf("bound to %s, want %s", got, c.bound)
			}
			if got := addresses(b.AdvertisedListeners); got != c.advertised {
				t.Errorf("advertised as %s, want %s", got, c.advertised)
			}
			if b.InterBrokerListener != c.broker {
				t.Errorf("brokers use %s, want %s", b.InterBrokerListener, c.broker)
			}
		})
	}
}

func TestWrongListeners(t *testing.T) {
	for _, c := range []struct {
		want string
		sets []string
	}{
		{"want at least one", []string{"listeners="}},
		{"want NAME://host:port", []string{"listeners=localhost:9092"}},
		{"missing port", []string{"listeners=PLAINTEXT://localhost"}},
		{"from 0 to 65535", []string{"listeners=PLAINTEXT://localhost:65536"}},
		{"from 0 to 65535", []string{"listeners=PLAINTEXT://localhost:kafka"}},
		{"is there twice", []string{"listeners=PLAINTEXT://a:1,PLAINTEXT://b:2"}},
		{"A and B are both at :1; give each a port of its own", []string{"listeners=A://:1,B://:1"}},
		{"SSL speaks SSL and has no certificate", []string{"listeners=SSL://a:1"}},
		{"two names of one thing", []string{"security.inter.broker.protocol=PLAINTEXT", "inter.broker.listener.name=PLAINTEXT"}},
		{"speaks SASL, which is not served", []string{"listeners=OUT://a:1", "listener.security.protocol.map=OUT:SASL"}},
		{"OUT has no protocol", []string{"listeners=OUT://a:1"}},
		{"want NAME:PROTOCOL", []string{"listener.security.protocol.map=PLAINTEXT"}},
		{`nobody can connect to "0.0.0.0"`, []string{"advertised.listeners=PLAINTEXT://0.0.0.0:9092"}},
		{`nobody can connect to ""`, []string{"advertised.listeners=PLAINTEXT://:9092"}},
		{"OUT is not among the listeners", []string{"advertised.listeners=OUT://a:9092"}},
		{"no listener OUT is advertised", []string{"inter.broker.listener.name=OUT"}},
		{"controller.listener.names has all of them", []string{"controller.listener.names=PLAINTEXT"}},
		{"only listeners of controllers", []string{"controller.listener.names=C", "advertised.listeners=C://a:1"}},
	} {
		if _, _, err := Load("", nil, c.sets); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.sets, err, c.want)
		}
	}
}
