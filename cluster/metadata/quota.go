package metadata

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"strings"
)

// QuotaEntity is whom a quota is for: a user, a client id, both together, or an IP
// address.
type QuotaEntity struct{ User, ClientID, IP QuotaName }

// QuotaName is one part of an entity. The zero value is a part that it has not.
type QuotaName struct {
	Is   bool
	Name string // empty: all those that have no quota of their own
}

// NamedQuota is the part of one user, client id or address.
func NamedQuota(name string) QuotaName { return QuotaName{Is: true, Name: name} }

// DefaultQuota is the part of all those that have no quota of their own.
func DefaultQuota() QuotaName { return QuotaName{Is: true} }

// String is the entity as Kafka writes it: "user=alice", with null for the default.
func (e QuotaEntity) String() string {
	var parts []string
	for _, p := range []struct {
		kind string
		name QuotaName
	}{{"user", e.User}, {"client-id", e.ClientID}, {"ip", e.IP}} {
		switch {
		case p.name.Is && p.name.Name == "":
			parts = append(parts, p.kind+"=null")
		case p.name.Is:
			parts = append(parts, p.kind+"="+p.name.Name)
		}
	}
	return strings.Join(parts, ", ")
}

func compareQuotaEntities(a, b QuotaEntity) int {
	return cmp.Or(a.User.compare(b.User), a.ClientID.compare(b.ClientID), a.IP.compare(b.IP))
}

func (n QuotaName) compare(other QuotaName) int {
	if n.Is != other.Is {
		if n.Is {
			return 1
		}
		return -1
	}
	return strings.Compare(n.Name, other.Name)
}

// Quotas yields the entities that have quotas with these by their keys, in the order
// of the entities. The maps are not to be changed.
func (i *Image) Quotas() iter.Seq2[QuotaEntity, map[string]float64] { return i.quotas.all() }

// QuotasOf returns the quotas of one entity, nil for none.
func (i *Image) QuotasOf(e QuotaEntity) map[string]float64 {
	set, _ := i.quotas.get(e)
	return set
}

func (r *QuotaSet) apply(c *change) error {
	e := r.Entity
	if e.IP.Is == (e.User.Is || e.ClientID.Is) {
		return fmt.Errorf("a quota for %+v, which is nobody", e)
	}
	set := maps.Clone(c.QuotasOf(e))
	if r.Value == nil {
		delete(set, r.Key)
	} else {
		if set == nil {
			set = map[string]float64{}
		}
		set[r.Key] = *r.Value
	}
	if len(set) == 0 {
		c.quotas = c.quotas.delete(e)
	} else {
		c.quotas = c.quotas.put(e, set)
	}
	c.quotasTouched = append(c.quotasTouched, e)
	return nil
}

// The bits of the parts that an entity has.
const (
	quotaUser = 1 << iota
	quotaClientID
	quotaIP
)

func (e *encoder) quotaEntity(q QuotaEntity) {
	e.flags(q.User.Is, q.ClientID.Is, q.IP.Is)
	for _, n := range []QuotaName{q.User, q.ClientID, q.IP} {
		if n.Is {
			e.string(n.Name)
		}
	}
}

func (d *decoder) quotaEntity() (q QuotaEntity) {
	bits := d.byte()
	if bits > quotaUser|quotaClientID|quotaIP {
		d.fail(fmt.Errorf("a quota's entity has parts %b", bits))
	}
	for _, p := range []struct {
		bit  byte
		name *QuotaName
	}{{quotaUser, &q.User}, {quotaClientID, &q.ClientID}, {quotaIP, &q.IP}} {
		if bits&p.bit != 0 {
			*p.name = QuotaName{Is: true, Name: d.string()}
		}
	}
	return q
}

func (r *QuotaSet) encode(e *encoder) {
	e.quotaEntity(r.Entity)
	e.string(r.Key)
	e.float(r.Value)
}

func (r *QuotaSet) decode(d *decoder) {
	r.Entity = d.quotaEntity()
	r.Key = d.string()
	r.Value = d.float()
}
