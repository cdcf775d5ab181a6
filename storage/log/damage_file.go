package log

import (
	"context"
	"slices"
	"strconv"
)

// damageFile names the segments of a log in which damage is known by their base
// offsets, one a line, in Kafka's checkpoint format. It does not say where in them:
// a segment may have been cut or compacted since, and what lies there is asked.
const damageFile = "damage-checkpoint"

// recallDamage verifies the segments in which damage was known when the log was
// last open, before anybody reads them. The caller has the log to itself.
func (l *Log) recallDamage(f found) {
	if _, there := f.sizes[damageFile]; there {
		err := readCheckpoint(l.dir.fs, l.file(damageFile), func(line string) error {
			base, err := parseNumber("base offset", line, 64)
			l.remembered = append(l.remembered, base)
			return err
		})
		if err != nil {
			l.logger.Warn("in which segments damage was found cannot be read; the scrub finds it again", "partition", l.String(), "err", err)
		}
	}
	known := slices.Clone(l.remembered)
	for _, s := range *l.segments.Load() {
		if slices.Contains(known, s.base) {
			_ = l.verifySegment(context.Background(), s, s.size.Load(), s.damage.asOf(), 0) // it has no error but that of its context
		}
	}
	l.rememberDamage()
}

// rememberDamage writes down in which segments damage is known, if that changed,
// so that the next start knows as well.
func (l *Log) rememberDamage() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var bases []int64
	var lines []string
	for _, s := range *l.segments.Load() {
		if s.damage.any() {
			bases = append(bases, s.base)
			lines = append(lines, strconv.FormatInt(s.base, 10))
		}
	}
	if slices.Equal(bases, l.remembered) || l.deleted.Load() {
		return
	}
	if err := l.writeDamage(lines); err != nil {
		l.logger.Warn("in which segments damage was found cannot be written down; a start forgets it", "partition", l.String(), "err", err)
		return
	}
	l.remembered = bases
}

func (l *Log) writeDamage(lines []string) error {
	if len(lines) == 0 {
		return l.dir.fs.Remove(l.file(damageFile))
	}
	return writeCheckpoint(l.dir.fs, l.file(damageFile), lines)
}
