package main

import (
	"errors"
	"fmt"

	"ec2net/agent"
)

// The documented exit statuses.
const (
	exitOK          = 0 // converged, or nothing to do
	exitFailed      = 1
	exitUsage       = 2 // command line or configuration
	exitUnavailable = 3 // metadata unavailable, nothing changed
	exitPartial     = 4 // some is set up, the rest is not
	exitDifferences = 5 // plan: there is something to do; explain, doctor: something is wrong
	// exitGone is between run and its unit alone: the interface was taken away.
	exitGone = 10
)

// statusError is an error with the exit status that it ends the program with.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func fail(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// errQuiet ends the program with a status and no message: the output has said it.
func quiet(status int) error { return &statusError{status, errQuiet} }

var errQuiet = errors.New("")

func statusOf(err error) int {
	var s *statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return s.status
	case errors.Is(err, agent.ErrDenied): // also beside another one
		return exitFailed
	case errors.Is(err, agent.ErrInvalid):
		return exitUsage
	case errors.Is(err, agent.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, agent.ErrPartial):
		return exitPartial
	}
	return exitFailed
}
