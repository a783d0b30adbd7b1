package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errEmpty is the answer of a server that has the document and says nothing.
var errEmpty = errors.New("the answer is empty")

// question is a GET for a document; key is what errors call it.
type question struct {
	key, url      string
	header, value string // that the request has to have
}

// document asks once. Anything but a 200 with text is an *Error; the body of a 400 is returned too. The header is that
// of the answer.
func (w *wire) document(ctx context.Context, q question) (body string, header http.Header, ex exchange, err error) {
	req, err := http.NewRequestWithContext(withExchange(ctx, &ex), http.MethodGet, q.url, nil)
	if err != nil {
		return "", nil, ex, unusable(q.key, err)
	}
	req.Header.Set(q.header, q.value)
	resp, err := w.Do(req)
	if ctx.Err() != nil {
		return "", nil, ex, &Error{Key: q.key, Err: fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())}
	}
	if err != nil {
		return "", nil, ex, failed(q.key, ex)
	}
	b, err := io.ReadAll(resp.Body) // from memory, see complete
	switch {
	case ex.status != http.StatusOK:
		return string(b), resp.Header, ex, failed(q.key, ex)
	case err != nil:
		return "", nil, ex, unusable(q.key, err)
	}
	a, err := text(string(b))
	if err == nil && a.Status == Absent {
		err = errEmpty
	}
	if err != nil {
		return "", nil, ex, unusable(q.key, err)
	}
	return a.Value, resp.Header, ex, nil
}
