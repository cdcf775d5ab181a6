package config

// Audit is where the log of who did what is kept, and how much of it.
type Audit struct {
	Dir          string // empty: there is none
	FileMaxBytes int64
	Files        int
	QueueSize    int
}

func (b *Broker) fillAudit() {
	b.Audit = Audit{
		Dir: b.value("klamm.audit.dir"), FileMaxBytes: b.int("klamm.audit.file.max.bytes"),
		Files: int(b.int("klamm.audit.files")), QueueSize: int(b.int("klamm.audit.queue.size")),
	}
}
