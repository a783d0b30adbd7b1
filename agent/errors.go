package agent

import (
	"errors"
	"fmt"
)

// Errors have a kind, which cmd/ec2net maps to an exit status; this package knows no statuses.

// The kinds of error that the set-up of an interface ends with; errors.Is finds them. An error of none of these kinds
// is a failure. The texts of the kinds are not part of any message, see ErrorOf.
var (
	// ErrDenied means that the process has no CAP_NET_ADMIN. Nothing was changed.
	ErrDenied = errors.New("this user may not change the network")
	// ErrInvalid puts the blame on the configuration, the environment or the named interface; only a person can mend that.
	ErrInvalid = errors.New("what was asked for cannot be set up")
	// ErrUnavailable means that the metadata did not answer in time, or does not know the interface.
	ErrUnavailable = errors.New("the metadata has not said what is needed")
	// ErrPartial means that part of what is granted is set up, the rest is not.
	ErrPartial = errors.New("some is set up, the rest is not")
)

// kindError gives an error a kind without changing its text.
type kindError struct{ kind, err error }

func (e *kindError) Error() string { return e.err.Error() }

func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// ErrorOf makes an error of a kind. Its text is that of the format alone.
func ErrorOf(kind error, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

// errGone ends the loop of an agent whose interface was removed. It never reaches a user: Run turns it into EndGone,
// and up reports "was removed meanwhile".
var errGone = errors.New("the interface is gone")
