package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// reply is an answer of the metadata server, and what is done to it.
type reply struct {
	status int
	body   string
	kind   string      // Content-Type; default EC2's
	server string      // the header; default EC2's
	header [][2]string // others
	fault  *Fault

	pending bool // there is no answer yet
}

// failure is EC2's page for a status.
func failure(status int) reply {
	text := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	return reply{status: status, body: `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>` + text + `</title>
 </head>
 <body>
  <h1>` + text + `</h1>
 </body>
</html>
`}
}

// spoil turns a right answer into the fault's. page is what the provider says with a status.
func (p *reply) spoil(f Fault, page func(status int) reply) {
	if f.Redirect != "" {
		*p = page(http.StatusFound)
	}
	if f.Status != 0 {
		*p = page(f.Status)
	}
	p.fault = &f
	if f.Body != "" && f.Status == 0 {
		p.status = http.StatusOK
	}
	switch f.Body {
	case "", Short, Endless:
	case HTML:
		p.body = "<!doctype html><html><head><title>Sign in</title></head><body>10.9.9.9 Please sign in.</body></html>\n"
	case Binary:
		p.body = allBytes()
	case Empty:
		p.body = ""
	case Cut:
		p.body = p.body[:len(p.body)/2]
	case Huge:
		p.body = strings.Repeat("10.0.2.99\n", 1<<20)
	default:
		p.body = string(f.Body)
	}
}

func allBytes() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// send writes the answer, or does not.
func (p reply) send(w http.ResponseWriter, r *http.Request) {
	if p.fault == nil {
		p.writeHeader(w)
		_, _ = io.WriteString(w, p.body) // a client that hangs up has its reasons
		return
	}
	if !pause(r, p.fault.Delay) {
		return
	}
	if p.fault.Reset || p.fault.Close {
		cut(w, p.fault.Reset)
		return
	}
	p.sendSpoilt(w, r)
}

func (p reply) writeHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Server", "EC2ws")
	h.Set("Content-Length", fmt.Sprint(len(p.body)))
	if p.status != http.StatusOK {
		h.Set("Content-Type", "text/html")
	}
	if p.server != "" {
		h.Set("Server", p.server)
	}
	if p.kind != "" {
		h.Set("Content-Type", p.kind)
	}
	for _, other := range p.header {
		h.Set(other[0], other[1])
	}
	if f := p.fault; f != nil {
		p.spoiltHeader(h)
	}
	w.WriteHeader(p.status)
}

func (p reply) spoiltHeader(h http.Header) {
	if p.fault.RetryAfter != "" {
		h.Set("Retry-After", p.fault.RetryAfter)
	}
	if p.fault.Redirect != "" {
		h.Set("Location", p.fault.Redirect)
	}
	for _, f := range p.fault.Header {
		if h.Set(f[0], f[1]); f[1] == "" {
			h.Del(f[0])
		}
	}
	switch p.fault.Body {
	case HTML:
		h.Set("Content-Type", "text/html")
	case Binary:
		h.Set("Content-Type", "application/octet-stream")
	case Short:
		h.Set("Content-Length", fmt.Sprint(2*len(p.body)+1))
	case Endless:
		h.Del("Content-Length")
	}
}

func (p reply) sendSpoilt(w http.ResponseWriter, r *http.Request) {
	p.writeHeader(w)
	flush := http.NewResponseController(w).Flush
	if p.fault.Body == Endless {
		chunk := strings.Repeat("10.0.2.99\n", 1000)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		return
	}
	if p.fault.Drip == 0 {
		_, _ = io.WriteString(w, p.body)
		return
	}
	for i := range len(p.body) {
		if flush() != nil || !pause(r, p.fault.Drip) {
			return
		}
		if _, err := io.WriteString(w, p.body[i:i+1]); err != nil {
			return
		}
	}
}

// pause waits, unless the client hangs up or the server is closed.
func pause(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// cut ends the connection without an answer, with a reset if wanted.
func cut(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // close then sends a reset
	}
	_ = conn.Close()
}
