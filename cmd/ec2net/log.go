package main

import (
	"fmt"
	"io"
	stdlog "log"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"
)

// The log: plain lines on stderr for a person, entries with fields for the journal (sd_journal_send(3)). Which of the
// two it is depends on whether stderr is connected to the journal (JOURNAL_STREAM, systemd.exec(5)), not on an
// option.

// newLogger writes to the journal with fields when stderr is the journal, else plain lines to err.
func newLogger(err io.Writer, level logrus.Level) *logrus.Logger {
	stdlog.SetOutput(io.Discard) // net/http writes what a strange server sends to it
	l := logrus.New()
	l.SetLevel(level)
	l.SetOutput(err)
	l.SetFormatter(plainLines{})
	if ok, _ := journal.StderrIsJournalStream(); ok && fileOf(err) == os.Stderr {
		l.SetOutput(io.Discard)
		l.AddHook(journalHook{err})
	}
	return l
}

// plainLines formats a log line for a person: the interface, the severity if it matters, the text. No time: a
// terminal needs none, and whatever collects the lines adds its own.
type plainLines struct{}

// Format implements logrus.Formatter.
func (plainLines) Format(e *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	if iface, ok := e.Data["interface"]; ok {
		fmt.Fprintf(&b, "%v: ", iface)
	}
	if e.Level <= logrus.WarnLevel {
		fmt.Fprintf(&b, "%s: ", e.Level)
	}
	b.WriteString(e.Message)
	b.WriteByte('\n')
	return []byte(b.String()), nil
}

// journalHook sends each entry with its fields, as EC2NET_INTERFACE and so on, in the place of what would be written.
type journalHook struct{ err io.Writer }

// Levels implements logrus.Hook.
func (journalHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (h journalHook) Fire(e *logrus.Entry) error {
	fields := map[string]string{"SYSLOG_IDENTIFIER": "ec2net"}
	for k, v := range e.Data {
		fields["EC2NET_"+strings.ToUpper(k)] = fmt.Sprint(v)
	}
	text, level := e.Message, priority(e.Level) // an entry is used again
	if o, ok := h.err.(*output); ok {
		o.do(func() { _ = journal.Send(text, level, fields) })
		return nil
	}
	return journal.Send(text, level, fields)
}

// priority maps logrus's levels to those of syslog(3).
func priority(l logrus.Level) journal.Priority {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel:
		return journal.PriErr
	case logrus.WarnLevel:
		return journal.PriWarning
	case logrus.InfoLevel:
		return journal.PriInfo
	}
	return journal.PriDebug
}
