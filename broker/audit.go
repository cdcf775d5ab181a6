package broker

import (
	"time"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/audit"
)

// openAudit goes on with the audit log, where there is to be one.
func (b *Broker) openAudit(deps Deps) (err error) {
	c := b.config.Audit
	if c.Dir == "" {
		return nil
	}
	b.audit, err = audit.Open(audit.Config{
		Dir: c.Dir, MaxBytes: c.FileMaxBytes, MaxFiles: c.Files, Queue: c.QueueSize, Node: b.config.NodeID, Version: deps.Version,
	}, audit.Deps{FS: deps.FS, Logger: deps.Logger, Now: time.Now})
	return err
}

// known has the audit log told which clients have proved who they are, and which have not.
func (b *Broker) known(c *listener.Conn, protocol string, why error) {
	e := audit.Event{Kind: audit.Authentication, Time: time.Now(), Address: c.Host(), Listener: c.Listener, Protocol: protocol}
	if c.Principal != security.Anonymous {
		e.Principal = c.Principal
	}
	if why != nil {
		e.Reason = why.Error()
	}
	b.audit.Record(e)
}
