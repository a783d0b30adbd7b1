package main

import (
	"errors"
	"fmt"
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
	case errors.Is(err, errDenied): // also beside another one
		return exitFailed
	case errors.Is(err, errInvalid):
		return exitUsage
	case errors.Is(err, errUnavailable):
		return exitUnavailable
	case errors.Is(err, errPartial):
		return exitPartial
	}
	return exitFailed
}
