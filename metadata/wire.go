package metadata

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of what is accepted from a server.
const (
	maxBody    = 64 << 10      // of EC2: the longest real answer, 1024 IPv6 prefixes, is 45 KiB
	maxHeader  = 16 << 10      // all header lines of one answer together
	maxErrBody = 4 << 10       // read of an error page, only so that its connection can be used again
	maxToken   = 1 << 10       // a real token has 56 characters
	maxTTL     = 6 * time.Hour // the longest life of a token, by EC2's documentation
	idleTime   = 15 * time.Second
	maxConns   = 4

	usualTimeout = 2 * time.Second // of one request
	// usualConnect is how much of it a connection may take. The kernel repeats a SYN, and an ARP request, that nobody
	// answers after one second (TCP_TIMEOUT_INIT, RFC 6298 section 2.1): one lost packet is no dead server.
	usualConnect = 1500 * time.Millisecond
)

// tokenHeader carries the secret and tokenTTL its life in seconds.
const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	tokenTTL    = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

var (
	errTooLarge = errors.New("the answer is longer")
	errCut      = errors.New("the answer was cut short")
	errNoHTTP   = errors.New("the connection broke or does not speak HTTP")
	errStatus   = errors.New("an unsuccessful answer")
	errNoToken  = errors.New("the token is invalid")
	errEcho     = errors.New("the answer repeats the token")
)

// wire is the HTTP client, the SDK's too: it sends one request and hands back one complete, bounded
// answer.
// It calls the transport itself, without http.Client, so that no redirect is ever followed.
type wire struct {
	rt      *http.Transport
	limit   func(*http.Request) time.Duration // of a request, from when it is sent
	longest int64                             // bytes of an answer's body
	slots   chan struct{}                     // taken before the clock of a request starts
	sent    atomic.Int64
}

// newWire has bind, unless it is nil, see each socket before it connects. A timeout of 0 is the usual one.
func newWire(bind control, timeout time.Duration, longest int64) (*wire, error) {
	if timeout < 0 {
		return nil, fmt.Errorf("metadata timeout %s: must not be negative", timeout)
	}
	timeout = cmp.Or(timeout, usualTimeout)
	d := &net.Dialer{Timeout: min(usualConnect, timeout*3/4), Control: bind}
	return &wire{
		limit:   func(*http.Request) time.Duration { return timeout },
		longest: longest,
		slots:   make(chan struct{}, maxConns),
		rt: &http.Transport{
			Proxy:                  nil, // the SDK's own client would ask HTTP_PROXY for its token
			DialContext:            d.DialContext,
			DisableCompression:     true,
			MaxConnsPerHost:        maxConns,
			MaxIdleConnsPerHost:    maxConns,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeader,
		},
	}, nil
}

// Do sends req, and notes how it went in the context's exchange: the SDK's error types do not keep
// the status of a failed token request, nor that of a 401.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	ex := exchangeOf(req.Context())
	*ex = exchange{method: req.Method}
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-req.Context().Done():
		ex.err = req.Context().Err()
		return nil, ex.err
	}
	resp, err := w.send(req, ex)
	ex.err = err
	return resp, err
}

// send makes the request within its limit of time, and notes status and Retry-After (RFC 9110 section 10.2.3) in ex. The
// body is read whole within it.
func (w *wire) send(req *http.Request, ex *exchange) (*http.Response, error) {
	limit := w.limit(req)
	ctx, cancel := context.WithTimeout(req.Context(), limit)
	defer cancel()
	w.sent.Add(1)
	resp, err := w.rt.RoundTrip(req.WithContext(ctx))
	if err == nil {
		ex.status = resp.StatusCode
		ex.retryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		err = w.complete(resp, req)
	}
	switch {
	case err == nil:
		return resp, nil
	case req.Context().Err() != nil:
		return nil, req.Context().Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no complete answer within %s", limit)
	}
	return nil, plain(err)
}

// complete reads the body and puts it in resp's place: the server has no say any more.
func (w *wire) complete(resp *http.Response, req *http.Request) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, w.longest+1))
	if err != nil {
		return err
	}
	if int64(len(body)) > w.longest {
		return fmt.Errorf("%w than %d KiB", errTooLarge, w.longest>>10)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if req.Method == http.MethodPut {
		return checkToken(resp, body)
	}
	return checkEcho(req, body)
}

// refusal reads the page that comes with an error, so that the connection stays of use, and keeps that
// of a 400, in which Azure names the versions that it knows. Not after a 101, whose body is the
// connection and does not end with the context.
func refusal(resp *http.Response) error {
	var page []byte
	if resp.StatusCode >= 200 {
		page, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrBody))
	}
	resp.Body = http.NoBody
	switch {
	case resp.StatusCode/100 == 2 || resp.StatusCode < 200:
		return errStatus // 204, 206 and the like are neither a value nor a refusal
	case resp.StatusCode == http.StatusBadRequest:
		resp.Body = io.NopCloser(bytes.NewReader(page))
	}
	return nil
}

// checkToken refuses the page of a captive portal, and a life that would overflow in the SDK.
func checkToken(resp *http.Response, body []byte) error {
	ttl, err := strconv.ParseInt(resp.Header.Get(tokenTTL), 10, 64)
	if err != nil || ttl <= 0 || len(body) == 0 || len(body) > maxToken {
		return errNoToken
	}
	for _, c := range body {
		if !isTokenChar(c) {
			return errNoToken
		}
	}
	resp.Header.Set(tokenTTL, strconv.FormatInt(min(ttl, int64(maxTTL/time.Second)), 10))
	return nil
}

// isTokenChar knows base64 in both alphabets and the rest of RFC 9110's token68.
func isTokenChar(c byte) bool {
	return isAlphanumeric(rune(c)) || strings.IndexByte("-._~+/=", c) >= 0
}

// checkEcho keeps a token that a server sends back out of every error that quotes a value. A token
// shorter than 16 characters is a test's and no secret.
func checkEcho(req *http.Request, body []byte) error {
	token := req.Header.Get(tokenHeader)
	if len(token) >= 16 && bytes.Contains(body, []byte(token)) {
		return errEcho
	}
	return nil
}

// plain leaves of a transport's error only what holds no text of the server's.
func plain(err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	case errors.Is(err, errTooLarge), errors.Is(err, errStatus), errors.Is(err, errNoToken), errors.Is(err, errEcho):
		return err
	}
	return errNoHTTP
}

// exchange is what happened to the last request of one question.
type exchange struct {
	method     string
	status     int
	retryAfter time.Duration
	err        error
}

type exchangeKey struct{}

func withExchange(ctx context.Context, ex *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, ex)
}

func exchangeOf(ctx context.Context) *exchange {
	if ex, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return ex
	}
	return new(exchange)
}
