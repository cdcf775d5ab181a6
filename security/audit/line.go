package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// The numbers of OCSF 1.3 for what is told.
const (
	classAuthentication  = 3002
	classAPIActivity     = 6003
	classBase            = 0
	categoryIAM          = 3
	categoryApplication  = 6
	activityLogon        = 1
	activityUpdate       = 3
	activityOther        = 99
	statusSuccess        = 1
	statusFailure        = 2
	severityInformation  = 1
	severityMedium       = 3
	severityHigh         = 4
	schemaVersion        = "1.3.0"
	digestSize           = 2 * sha256.Size
	digestField          = `"digest":"`
	lineEnd              = `"}}`
	activityNameOfGap    = "Missing"
	actionDenied         = 2
	activityNameOfDenial = "Denied"
)

// line is an event as it is written.
type line struct {
	Time      int64      `json:"time"` // milliseconds of Unix time
	Class     int        `json:"class_uid"`
	Category  int        `json:"category_uid"`
	Activity  int        `json:"activity_id"`
	Name      string     `json:"activity_name,omitempty"`
	Type      int        `json:"type_uid"`
	Severity  int        `json:"severity_id"`
	Status    int        `json:"status_id"`
	Detail    string     `json:"status_detail,omitempty"`
	Action    int        `json:"action_id,omitempty"`
	Metadata  metadata   `json:"metadata"`
	Actor     *actor     `json:"actor,omitempty"`
	User      *user      `json:"user,omitempty"` // of an Authentication
	Protocol  string     `json:"auth_protocol,omitempty"`
	API       *operation `json:"api,omitempty"`
	Source    *endpoint  `json:"src_endpoint,omitempty"`
	Service   *named     `json:"service,omitempty"`
	Resources []Resource `json:"resources,omitempty"`
	Count     int64      `json:"count,omitempty"` // events that are missing
	Unmapped  chain      `json:"unmapped"`        // last: the digest is the line's end
}

type metadata struct {
	Version  string  `json:"version"`
	Sequence int64   `json:"sequence"`
	Product  product `json:"product"`
}

type product struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor_name"`
	Version string `json:"version"`
}

type actor struct {
	User *user  `json:"user,omitempty"`
	App  string `json:"app_name,omitempty"`
}

type user struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type operation struct {
	Operation string `json:"operation"`
}

type endpoint struct {
	IP string `json:"ip"`
}

type named struct {
	Name string `json:"name"`
}

// chain ties a line to the one before it.
type chain struct {
	Node     int32  `json:"node_id"`
	More     int    `json:"more_resources,omitempty"`
	Previous string `json:"previous"`
	Digest   string `json:"digest"`
}

// writer makes lines of events, one after the other.
type writer struct {
	node     int32
	version  string
	sequence int64  // of the next line
	previous string // digest of the last one
}

// start is the digest that the first line of all follows on.
var start = strings.Repeat("0", digestSize)

// append makes a line of e.
func (w *writer) append(dst []byte, e *Event) ([]byte, error) {
	l := w.line(e)
	from := len(dst)
	text, err := json.Marshal(l)
	if err != nil {
		return dst, fmt.Errorf("write an audit event as JSON: %w", err)
	}
	dst = append(dst, text...)
	digest := digestOf(dst[from:])
	at := len(dst) - len(lineEnd)
	dst = append(append(dst[:at], digest...), lineEnd...)
	dst = append(dst, '\n')
	w.previous, w.sequence = digest, w.sequence+1
	return dst, nil
}

// digestOf is the digest of a line in which its own digest is empty.
func digestOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// withoutDigest takes a line's own digest out of it. It reports false where there is none.
func withoutDigest(line []byte) (rest []byte, digest string, ok bool) {
	from := len(line) - len(lineEnd) - digestSize
	if from < len(digestField) || !bytes.HasSuffix(line, []byte(lineEnd)) || !bytes.HasSuffix(line[:from], []byte(digestField)) {
		return nil, "", false
	}
	return append(append([]byte{}, line[:from]...), lineEnd...), string(line[from : from+digestSize]), true
}

func (w *writer) line(e *Event) *line {
	l := &line{
		Time: e.Time.UnixMilli(), Class: classAPIActivity, Category: categoryApplication, Activity: activityUpdate, Severity: severityInformation, Status: statusSuccess,
		Detail:    short(e.Reason),
		Metadata:  metadata{Version: schemaVersion, Sequence: w.sequence, Product: product{"Klamm", "klamm.io", w.version}},
		Resources: e.Resources,
		Unmapped:  chain{Node: w.node, More: e.More, Previous: w.previous},
	}
	if e.Reason != "" {
		l.Status, l.Severity = statusFailure, severityMedium
	}
	l.say(e)
	l.Type = l.Class*100 + l.Activity
	return l
}

// say fills in what is particular to the kind of the event.
func (l *line) say(e *Event) {
	var who *user
	if e.Principal.Name != "" {
		who = &user{short(e.Principal.Name), e.Principal.Type}
	}
	switch e.Kind {
	case Authentication:
		l.Class, l.Category, l.Activity = classAuthentication, categoryIAM, activityLogon
		l.User, l.Protocol = who, e.Protocol
	case Denial:
		l.Activity, l.Name, l.Action = activityOther, activityNameOfDenial, actionDenied
		l.Actor = &actor{who, short(e.ClientID)}
	case Change:
		l.Actor = &actor{who, short(e.ClientID)}
	case Gap:
		l.Class, l.Category, l.Activity, l.Name = classBase, 0, activityOther, activityNameOfGap
		l.Severity, l.Status, l.Count = severityHigh, statusFailure, e.Missing
		return
	}
	if e.API != "" {
		l.API = &operation{e.API}
	}
	if e.Address != "" {
		l.Source = &endpoint{e.Address}
	}
	if e.Listener != "" {
		l.Service = &named{e.Listener}
	}
}
