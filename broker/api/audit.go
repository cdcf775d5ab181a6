package api

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/audit"
)

// noteKnown has the audit log told that the client of r has said who it is, by SASL.
func (h *Handler) noteKnown(r *listener.Request) {
	e := h.event(r, audit.Authentication)
	e.Protocol = "SASL"
	h.audit.Record(e)
}

// changes are the APIs of clients by which the cluster becomes another; what they come to
// is an event of the audit log each.
var changes = map[int16]bool{
	int16(kmsg.CreateTopics): true, int16(kmsg.DeleteTopics): true, int16(kmsg.CreatePartitions): true, int16(kmsg.DeleteRecords): true,
	int16(kmsg.AlterConfigs): true, int16(kmsg.IncrementalAlterConfigs): true, int16(kmsg.AlterClientQuotas): true,
	int16(kmsg.CreateACLs): true, int16(kmsg.DeleteACLs): true, int16(kmsg.DeleteGroups): true, int16(kmsg.OffsetDelete): true,
	int16(kmsg.ElectLeaders): true, int16(kmsg.AlterPartitionAssignments): true, int16(kmsg.UpdateFeatures): true, int16(kmsg.UnregisterBroker): true,
	int16(kmsg.AddRaftVoter): true, int16(kmsg.RemoveRaftVoter): true, int16(kmsg.WriteTxnMarkers): true, int16(kmsg.AlterUserSCRAMCredentials): true,
}

func (h *Handler) event(r *listener.Request, kind audit.Kind) audit.Event {
	e := audit.Event{Kind: kind, Time: r.Received, Principal: r.Conn.Principal, Address: r.Conn.Host(), Listener: r.Conn.Listener, API: nameOf(r.Key)}
	if r.ClientID != nil {
		e.ClientID = *r.ClientID
	}
	return e
}

// noteChange has the audit log told what a request comes to that changes something.
func (h *Handler) noteChange(r *listener.Request, req kmsg.Request) {
	if !h.audit.On() || !changes[r.Key] || h.ofNode(r) {
		return
	}
	e := h.event(r, audit.Change)
	nameAll(&e, reflect.ValueOf(req).Elem())
	r.Told = func(resp kmsg.Response) {
		e.Reason = firstError(reflect.ValueOf(resp).Elem())
		h.audit.Record(e)
	}
}

// namedBy are the fields of requests that name what they are about. Others are not looked
// at: values of configs, passwords of users and tokens are among them.
var namedBy = map[string]string{
	"Topic": "topic", "TopicNames": "topic", "Groups": "group", "Group": "group", "ResourceName": "resource", "Feature": "feature", "BrokerID": "broker",
	"VoterID": "voter", "Principal": "principal", "Key": "quota", "Name": "name", "TransactionalID": "transactional id",
}

// nameAll adds what a request names, wherever in it.
func nameAll(e *audit.Event, v reflect.Value) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		if kind, is := namedBy[field.Name]; is && addNames(e, kind, f) {
			continue
		}
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for j := range f.Len() {
			nameAll(e, f.Index(j))
		}
	}
}

// addNames adds what a field names, and reports false where it has parts.
func addNames(e *audit.Event, kind string, f reflect.Value) bool {
	switch f.Kind() {
	case reflect.String:
		e.Add(kind, f.String())
	case reflect.Int32:
		e.Add(kind, strconv.FormatInt(f.Int(), 10))
	case reflect.Pointer:
		if f.Type().Elem().Kind() != reflect.String {
			return false
		}
		if !f.IsNil() {
			e.Add(kind, f.Elem().String())
		}
	case reflect.Slice:
		if f.Type().Elem().Kind() != reflect.String {
			return false
		}
		for i := range f.Len() {
			e.Add(kind, f.Index(i).String())
		}
	default:
		return false
	}
	return true
}

// firstError is the first error that an answer has, wherever in it; empty for none.
func firstError(v reflect.Value) string {
	if code := v.FieldByName("ErrorCode"); code.IsValid() && code.Int() != 0 {
		if err := (*kerr.Error)(nil); errors.As(kerr.ErrorForCode(int16(code.Int())), &err) {
			return err.Message
		}
		return "error " + strconv.FormatInt(code.Int(), 10)
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for j := range f.Len() {
			if text := firstError(f.Index(j)); text != "" {
				return text
			}
		}
	}
	return ""
}

// noteDenial collects what the client of r has no right to. It is called on the goroutine
// of the handler.
func (h *Handler) noteDenial(r *listener.Request, op security.Operation, res security.Resource) {
	if !h.audit.On() {
		return
	}
	e, _ := r.Note.(*audit.Event)
	if e == nil {
		denied := h.event(r, audit.Denial)
		denied.Reason = "no right to " + operationName(op)
		e = &denied
		r.Note = e
	}
	e.Add(resourceName(res.Type), res.Name)
}

// tellDenials has the audit log told of what was collected.
func (h *Handler) tellDenials(r *listener.Request) {
	if e, is := r.Note.(*audit.Event); is {
		r.Note = nil
		h.audit.Record(*e)
	}
}

func operationName(op security.Operation) string {
	return strings.ToLower(strings.ReplaceAll(kmsg.ACLOperation(op).String(), "_", " "))
}

func resourceName(t security.ResourceType) string {
	return strings.ToLower(strings.ReplaceAll(kmsg.ACLResourceType(t).String(), "_", " "))
}
