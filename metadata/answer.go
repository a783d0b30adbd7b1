package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

var (
	errPage   = errors.New("the answer is a page, not a value")
	errBinary = errors.New("the answer is not text")
)

// askAt asks one address once and sorts what came into the three answers.
func askAt(ctx context.Context, c *imds.Client, key string) (Answer[string], exchange, error) {
	var ex exchange
	out, err := c.GetMetadata(withExchange(ctx, &ex), &imds.GetMetadataInput{Path: key})
	switch {
	case ctx.Err() != nil:
		return Answer[string]{}, ex, &Error{Key: key, Err: fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())}
	case err != nil && ex.method == http.MethodGet && ex.status == http.StatusNotFound && ex.err == nil:
		return None[string](), ex, nil
	case err != nil:
		return Answer[string]{}, ex, failed(key, ex)
	}
	body, err := io.ReadAll(out.Content) // from memory, see complete
	if err != nil {
		return Answer[string]{}, ex, unusable(key, err)
	}
	a, err := text(string(body))
	if err != nil {
		return Answer[string]{}, ex, unusable(key, err)
	}
	return a, ex, nil
}

// failed names what went wrong. The SDK's own error is left out: it repeats what ex says, at length.
func failed(key string, ex exchange) *Error {
	e := &Error{Key: key, Status: ex.status, RetryAfter: ex.retryAfter, Err: ErrUnavailable}
	if ex.method == http.MethodPut {
		e.Key = keyToken
	}
	switch {
	case ex.status == http.StatusForbidden:
		e.Err = ErrDisabled
	case errors.Is(ex.err, syscall.EACCES):
		e.Err = fmt.Errorf("%w: %w", ErrProhibited, ex.err)
	case ex.err != nil:
		e.Err = fmt.Errorf("%w: %w", ErrUnavailable, ex.err)
	}
	return e
}

// text takes a body for a value only when it is text and no page. Nothing but space is no value:
// an empty 200 instead of a 404 is seen in the wild.
func text(body string) (Answer[string], error) {
	body = strings.TrimSpace(strings.TrimPrefix(body, "\ufeff"))
	if body == "" {
		return None[string](), nil
	}
	if body[0] == '<' {
		return Answer[string]{}, errPage
	}
	if !utf8.ValidString(body) || strings.ContainsFunc(body, isBinary) {
		return Answer[string]{}, errBinary
	}
	return Is(body), nil
}

func isBinary(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }
