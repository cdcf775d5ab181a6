package main

import (
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describedConfig is one config of a topic or broker. The value is null where
// it is sensitive, or where there is none.
type describedConfig struct {
	Name      string  `json:"name"`
	Value     *string `json:"value"`
	Source    string  `json:"source"`
	Sensitive bool    `json:"sensitive"`
}

// text is the value for people.
func (c describedConfig) text() string {
	switch {
	case c.Sensitive:
		return "(hidden)"
	case c.Value == nil:
		return "null"
	}
	return *c.Value
}

// chosenConfigs are those that somebody chose: not the cluster's defaults.
func chosenConfigs(configs []kadm.Config) []describedConfig {
	chosen := []describedConfig{}
	for _, c := range configs {
		if c.Source != kmsg.ConfigSourceDefaultConfig {
			chosen = append(chosen, described(c))
		}
	}
	return chosen
}

func described(c kadm.Config) describedConfig {
	return describedConfig{Name: c.Key, Value: c.Value, Source: c.Source.String(), Sensitive: c.Sensitive}
}
