package controller

import (
	"math"
	"net/netip"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Types of a quota's entity, as clients name them.
const (
	QuotaUser     = "user"
	QuotaClientID = "client-id"
	QuotaIP       = "ip"
)

// quotaKeys are the quotas that there are, and whether one is a whole number.
var (
	clientQuotaKeys = map[string]bool{"producer_byte_rate": true, "consumer_byte_rate": true, "request_percentage": false, "controller_mutation_rate": false}
	ipQuotaKeys     = map[string]bool{"connection_creation_rate": true}
)

// AlterClientQuotas sets quotas and takes them back (KIP-546). Either all changes of an
// entity are made or none.
func (*Controller) AlterClientQuotas(img *metadata.Image, req *kmsg.AlterClientQuotasRequest) ([]metadata.Record, *kmsg.AlterClientQuotasResponse) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	times := map[metadata.QuotaEntity]int{}
	for i := range req.Entries {
		if entity, err := quotaEntity(req.Entries[i].Entity); err == nil {
			times[entity]++
		}
	}
	var records []metadata.Record
	for i := range req.Entries {
		entry := &req.Entries[i]
		entity, err := quotaEntity(entry.Entity)
		var changed []metadata.Record
		if err == nil {
			changed, err = quotaChanges(img, entity, times[entity], entry.Ops)
		}
		if err == nil && len(records)+len(changed) > maxRecords {
			err = errTooMany
		}
		if err == nil {
			records = append(records, changed...)
		}
		told := kmsg.NewAlterClientQuotasResponseEntry()
		told.ErrorCode, told.ErrorMessage = answer(err)
		for _, e := range entry.Entity {
			told.Entity = append(told.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: e.Type, Name: e.Name})
		}
		resp.Entries = append(resp.Entries, told)
	}
	if req.ValidateOnly {
		return nil, resp
	}
	return records, resp
}

// quotaEntity reads whom a quota is for.
func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) (e metadata.QuotaEntity, err error) {
	for _, p := range parts {
		name := metadata.DefaultQuota()
		if p.Name != nil {
			name = metadata.NamedQuota(*p.Name)
		}
		switch p.Type {
		case QuotaUser:
			e.User = name
		case QuotaClientID:
			e.ClientID = name
		case QuotaIP:
			e.IP = name
		default:
			return e, refuse(kerr.InvalidRequest, "Unhandled client quota entity type: %s", p.Type)
		}
		if p.Name != nil && *p.Name == "" {
			return e, refuse(kerr.InvalidRequest, "Empty %s not supported", p.Type)
		}
	}
	switch {
	case e == metadata.QuotaEntity{}:
		return e, refuse(kerr.InvalidRequest, "Invalid empty client quota entity")
	case e.IP.Is && (e.User.Is || e.ClientID.Is):
		return e, refuse(kerr.InvalidRequest, "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId") //nolint:misspell // as Kafka spells it
	}
	if e.IP.Name != "" {
		address, err := netip.ParseAddr(e.IP.Name)
		if err != nil {
			return e, refuse(kerr.InvalidRequest, "%s is not a valid IP or resolvable host.", e.IP.Name)
		}
		e.IP.Name = address.Unmap().String() // as connections name theirs
	}
	return e, nil
}

// quotaChanges leads from the quotas that an entity has to those that are asked for.
func quotaChanges(img *metadata.Image, entity metadata.QuotaEntity, times int, ops []kmsg.AlterClientQuotasRequestEntryOp) ([]metadata.Record, error) {
	if times > 1 {
		return nil, refuse(kerr.InvalidRequest, "Ignoring duplicate entity ClientQuotaEntity(entries={%s})", entity)
	}
	keys := clientQuotaKeys
	if entity.IP.Is {
		keys = ipQuotaKeys
	}
	now := img.QuotasOf(entity)
	var records []metadata.Record
	var seen []string
	for _, op := range ops {
		if slices.Contains(seen, op.Key) {
			return nil, refuse(kerr.InvalidRequest, "Ignoring duplicate entity ClientQuotaEntity(entries={%s})", entity) // as Kafka says it
		}
		seen = append(seen, op.Key)
		was, set := now[op.Key]
		switch value := op.Value; {
		case op.Remove && set:
			records = append(records, &metadata.QuotaSet{Entity: entity, Key: op.Key})
		case op.Remove:
		default:
			if err := checkQuota(keys, op.Key, value); err != nil {
				return nil, err
			}
			if !set || was != value {
				records = append(records, &metadata.QuotaSet{Entity: entity, Key: op.Key, Value: &value})
			}
		}
	}
	return records, nil
}

func checkQuota(keys map[string]bool, key string, value float64) error {
	whole, known := keys[key]
	switch {
	case !known:
		return refuse(kerr.InvalidRequest, "Invalid configuration key %s", key)
	case math.IsNaN(value) || math.IsInf(value, 0) || value <= 0:
		return refuse(kerr.InvalidRequest, "Quota %s must be greater than 0", key)
	case whole && math.Abs(value-math.Round(value)) > 1e-6:
		return refuse(kerr.InvalidRequest, "%s cannot be a fractional value.", key)
	}
	return nil
}
