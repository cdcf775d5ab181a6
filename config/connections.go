package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// addressLimits is the rule of max.connections.per.ip.overrides.
var addressLimits = rule{takes: "ADDRESS:COUNT,…", check: func(name, value string) error {
	_, err := parseAddressLimits(value)
	if err != nil {
		return invalid(name, value, err.Error())
	}
	return nil
}}

// parseAddressLimits reads addresses with how many connections each may have.
func parseAddressLimits(list string) (map[string]int, error) {
	limits := map[string]int{}
	for _, item := range splitList(list) {
		at := strings.LastIndexByte(item, ':')
		if at < 0 {
			return nil, fmt.Errorf("%s has no count; it is written as 10.0.0.7:100", item)
		}
		address, err := netip.ParseAddr(strings.Trim(item[:at], "[] "))
		if err != nil {
			return nil, fmt.Errorf("%s is no IP address", item[:at])
		}
		count, err := strconv.Atoi(strings.TrimSpace(item[at+1:]))
		if err != nil || count < 0 {
			return nil, fmt.Errorf("%s is no count of connections", item[at+1:])
		}
		limits[address.Unmap().String()] = count
	}
	return limits, nil
}
