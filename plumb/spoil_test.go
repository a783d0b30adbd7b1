package plumb

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// fault is what happens to one request of a run.
type fault struct {
	errno unix.Errno
	lost  bool // the kernel does what it is asked, and its answer is lost
	stays bool // the same request fails whenever it is made again
	kills bool // the process ends at the request
	half  bool // of a dump, half of the answer comes, and then the error; of several requests at once, the last is refused
}

func (f fault) String() string {
	var words []string
	for word, is := range map[string]bool{"lost": f.lost, "stays": f.stays, "kills": f.kills, "half": f.half} {
		if is {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(append(words, unix.ErrnoName(f.errno)), " ")
}

// writeFaults are what the kernel can answer to change number n: refusals, of which the rarer ones take
// turns; the loss of its answer, by an overrun of the socket's buffer or the time-out; and the death of
// the process, before the kernel hears the request and after.
func writeFaults(n int) (out []fault) {
	rare := []unix.Errno{unix.EINVAL, unix.ENOMEM, unix.ENOSPC, unix.EADDRNOTAVAIL, unix.ENETDOWN, unix.ENETUNREACH, unix.EAGAIN}
	for _, e := range []unix.Errno{unix.EPERM, unix.EEXIST, unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EBUSY, unix.EINTR, unix.ENOBUFS, rare[n%len(rare)]} {
		out = append(out, fault{errno: e})
	}
	for _, e := range []unix.Errno{unix.EPERM, unix.EEXIST, unix.ENOENT} {
		out = append(out, fault{errno: e, stays: true})
	}
	return append(out, fault{errno: unix.ENOMEM, half: true}, fault{errno: unix.ENOMEM, half: true, stays: true},
		fault{errno: unix.ENOBUFS, lost: true}, fault{kills: true}, fault{kills: true, lost: true})
}

func dumpFaults() []fault {
	return []fault{
		{errno: unix.EINTR, half: true}, {errno: unix.EINTR, half: true, stays: true}, {errno: unix.ENOBUFS}, {errno: unix.ENOBUFS, stays: true},
		{errno: unix.EPERM}, {errno: unix.ENODEV}, {errno: unix.ENOMEM, stays: true}, {errno: unix.EAGAIN, lost: true}, {kills: true},
	}
}

var errKilled = errors.New("killed")

// spoiler stands between a link and the kernel.
type spoiler struct {
	fault
	at, n  int
	target []byte // of the fault that stays
	dead   bool
	dumps  []bool // what kind each request was
	real   func(uint16, ...*nl.NetlinkRequest) ([][]byte, []error)
}

// spoil makes request number at of a link fail; 0: none.
func spoil(s *socket, at int, f fault) *spoiler {
	p := &spoiler{fault: f, at: at, real: s.execute}
	s.execute = p.execute
	return p
}

func (p *spoiler) execute(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
	p.n++
	p.dumps = append(p.dumps, list[0].Flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP)
	last := list[len(list)-1]
	request := append([]byte{byte(last.Type)}, last.Serialize()[unix.NLMSG_HDRLEN:]...)
	switch {
	case p.dead:
		return nil, every(list, errKilled)
	case p.n == p.at:
		p.target, p.dead = request, p.kills
	case !p.stays || !bytes.Equal(request, p.target):
		return p.real(answer, list...)
	}
	return p.strike(answer, list)
}

func (p *spoiler) strike(answer uint16, list []*nl.NetlinkRequest) (msgs [][]byte, errs []error) {
	err := fmt.Errorf("%w: said the test", p.errno)
	switch {
	case p.half && len(list) > 1:
		_, errs = p.real(answer, list[:len(list)-1]...)
		return nil, append(errs, err)
	case p.half && p.dumps[p.n-1]:
		msgs, _ = p.real(answer, list...)
		return msgs[:len(msgs)/2], every(list, nl.ErrDumpInterrupted)
	case p.lost:
		_, _ = p.real(answer, list...)
	}
	if p.kills {
		err = errKilled
	}
	return nil, every(list, err)
}

// every is the same verdict on each request.
func every(list []*nl.NetlinkRequest, err error) []error {
	return slices.Repeat([]error{err}, len(list))
}
