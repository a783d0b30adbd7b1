//go:build vm

package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dial connects to a socket that qemu is about to make.
func dial(path string, ended <-chan struct{}) (net.Conn, error) {
	for {
		c, err := net.Dial("unix", path)
		if err == nil {
			return c, nil
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("qemu has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// monitor speaks QMP (docs/interop/qmp-spec in qemu's source).
type monitor struct {
	conn   net.Conn
	lines  *bufio.Scanner
	events []string
}

type message struct {
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	QMP json.RawMessage `json:"QMP"`
}

func openMonitor(c net.Conn) (*monitor, error) {
	m := &monitor{conn: c, lines: bufio.NewScanner(c)}
	m.lines.Buffer(nil, 1<<20)
	if _, err := m.next(hang); err != nil { // the greeting
		return nil, err
	}
	return m, m.do("qmp_capabilities", nil, nil)
}

func (m *monitor) next(limit time.Duration) (msg message, err error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return msg, err
	}
	if !m.lines.Scan() {
		return msg, fmt.Errorf("qemu's monitor says nothing: %w", m.lines.Err())
	}
	return msg, json.Unmarshal(m.lines.Bytes(), &msg)
}

// do runs a command and decodes what it returns into out, unless that is nil.
func (m *monitor) do(command string, args map[string]any, out any) error {
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := m.conn.Write(append(b, '\n')); err != nil {
		return err
	}
	for {
		msg, err := m.next(hang)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", command, err)
		case msg.Event != "":
			m.events = append(m.events, msg.Event)
		case msg.Error != nil:
			return fmt.Errorf("%s: %s", command, msg.Error.Desc)
		case out != nil:
			return json.Unmarshal(msg.Return, out)
		default:
			return nil
		}
	}
}

// event waits for an event.
func (m *monitor) event(name string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		for i, e := range m.events {
			if e == name {
				m.events = append(m.events[:i], m.events[i+1:]...)
				return nil
			}
		}
		msg, err := m.next(time.Until(end))
		if err != nil {
			return fmt.Errorf("wait for %s: %w", name, err)
		}
		if msg.Event != "" {
			m.events = append(m.events, msg.Event)
		}
	}
}

// shell is the root shell on the VM's second serial port.
type shell struct {
	conn  net.Conn
	in    *bufio.Reader
	count int
}

// ready waits until the shell says that it listens. What is sent earlier is lost or echoed.
func (s *shell) ready(limit time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("wait for a shell: %w", err)
		}
		if strings.Contains(line, "@@ready@@") {
			return nil
		}
	}
}

var endMark = regexp.MustCompile(`^@@(\d+):(\d+)@@$`)

// run runs a command line and returns what it printed, and its exit status. The mark is put together by the
// guest, so that an echo of the command is not taken for its end.
func (s *shell) run(command string, limit time.Duration) (string, int, error) {
	s.count++
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Fprintf(s.conn, "{ %s\n} </dev/null 2>&1; printf '\\n@%%s%d:%%d@@\\n' @ $?\n", command, s.count); err != nil {
		return "", 0, fmt.Errorf("%s: %w", command, err)
	}
	var out []string
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return strings.Join(out, "\n"), 0, fmt.Errorf("%s: %w after %q", command, err, strings.Join(out, "\n"))
		}
		line = strings.Trim(line, "\r\n")
		m := endMark.FindStringSubmatch(line)
		switch {
		case m == nil:
			out = append(out, line)
		case m[1] == strconv.Itoa(s.count):
			status, _ := strconv.Atoi(m[2])
			return strings.TrimSpace(strings.Join(out, "\n")), status, nil
		default:
			out = nil // of an earlier command that was given up
		}
	}
}
