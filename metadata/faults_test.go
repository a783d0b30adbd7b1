package metadata

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// kind is what a fault must be taken for.
type kind int

const (
	gone    kind = iota // unavailable
	missing             // absent
	off                 // switched off
)

// fault is one way in which a metadata service answers wrongly, or not at all.
type fault struct {
	name string
	want kind
	do   http.HandlerFunc
}

// quickFaults need no time-out to be seen.
func quickFaults() []fault {
	return []fault{
		{"404", missing, status(404)},
		{"200 and empty", missing, body("")},
		{"200 and blank", missing, body(" \r\n\t\n")},
		{"403", off, status(403)},
		{"400", gone, status(400)},
		{"401 always", gone, status(401)},
		{"410", gone, status(410)},
		{"429 with Retry-After", gone, throttle},
		{"500", gone, status(500)},
		{"503", gone, status(503)},
		{"999", gone, status(999)},
		{"204", gone, status(204)},
		{"206", gone, status(206)},
		{"101", gone, raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")},
		{"redirect", gone, redirect},
		{"HTML", gone, body("<!DOCTYPE html><html><body>Please log in</body></html>")},
		{"HTML after a BOM", gone, body("\ufeff\n <html>")},
		{"text page", gone, body("Service temporarily unavailable")},
		{"JSON", gone, body(`{"error":{"code":1},"data":["a"]}`)},
		{"NUL", gone, body("1\x00")},
		{"binary", gone, body("\x7fELF\x02\x01\xff\xfe")},
		{"gzip", gone, gzipped},
		{"token comes back", gone, echo},
		{"reset", gone, reset},
		{"closed", gone, raw("")},
		{"no HTTP", gone, noHTTP},
		{"truncated", gone, raw("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n10.0.2.37\n10.0")},
		{"truncated chunk", gone, raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n10.0.2.37\n10.0")},
		{"bad chunk", gone, raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n10.0.2.37\r\n")},
		{"10 MB", gone, tenMB},
		{"endless body", gone, endless("HTTP/1.1 200 OK\r\n\r\n")},
		{"endless values", gone, endless("HTTP/1.1 200 OK\r\n\r\n10.0.2.37\n")},
		{"endless header", gone, endless("HTTP/1.1 200 OK\r\nX-Long: ")},
	}
}

// slowFaults are seen only by the clock.
func slowFaults() []fault {
	return []fault{
		{"no answer", gone, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"slow drip", gone, drip("HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", "1")},
		{"slow header", gone, drip("HTTP/1.1 200 OK\r\n", "X-A: b\r\n")},
		{"half an answer", gone, hang("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n10.0.2.37")},
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			fmt.Fprintf(w, "<html>%d</html>", code)
		}
	}
}

func throttle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(http.StatusTooManyRequests)
}

// body answers a PUT with a valid life as well, so that only the text can give a false token away.
func body(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(tokenTTL, "300")
		io.WriteString(w, s)
	}
}

// redirect points to a place that would answer, to be sure that nobody goes there.
func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/latest/meta-data/instance-id", http.StatusFound)
}

func gzipped(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set(tokenTTL, "300")
	w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x33\x04\x00\xb7\xef\xdc\x83\x01\x00\x00\x00"))
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(tokenTTL, "300")
	fmt.Fprintf(w, "%s %s", r.Header.Get(tokenHeader), "you")
}

func tenMB(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(tokenTTL, "300")
	io.Copy(w, io.LimitReader(letters{}, 10<<20))
}

// letters reads as one endless word.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("a"), len(p))), nil
}

func hijack(w http.ResponseWriter) net.Conn {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return c
}

func raw(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := hijack(w)
		defer c.Close()
		io.WriteString(c, s)
	}
}

// noHTTP sends the token back where a status line should be: Go's error would quote it.
func noHTTP(w http.ResponseWriter, r *http.Request) {
	raw("SSH-2.0-"+r.Header.Get(tokenHeader)+"\r\n\r\n")(w, r)
}

func reset(w http.ResponseWriter, r *http.Request) {
	c := hijack(w)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func endless(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := hijack(w)
		defer c.Close()
		io.WriteString(c, head)
		page := strings.Repeat("10.0.2.37,", 800)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, page)
		}
	}
}

// drip sends a byte at a time, always in time for a clock that starts anew with each.
func drip(head, drop string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := hijack(w)
		defer c.Close()
		io.WriteString(c, head)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(c, drop); err != nil {
				return
			}
		}
	}
}

// hang sends a part of an answer and waits until the client has had enough.
func hang(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := hijack(w)
		defer c.Close()
		io.WriteString(c, head)
		io.Copy(io.Discard, c)
	}
}
