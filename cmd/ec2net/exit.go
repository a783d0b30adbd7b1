package main

import (
	"errors"
	"fmt"

	"ec2net/agent"
)

// Exit statuses are a contract with users and with the units (docs/architecture.md has the table). They are known in
// this file only: an error of package agent has a kind, and statusOf maps it.

// The documented exit statuses.
const (
	// exitOK means converged, or nothing to do.
	exitOK = 0
	// exitFailed means a failure of any other kind; also that a change was rolled back.
	exitFailed = 1
	// exitUsage means that the command line, the configuration or the named interface is wrong. Only a person can mend
	// that, so the unit does not try again (RestartPreventExitStatus).
	exitUsage = 2
	// exitUnavailable means that the metadata is unavailable, and nothing was changed since it is.
	exitUnavailable = 3
	// exitPartial means that part is set up, which stays, and the rest is not.
	exitPartial = 4
	// exitDifferences means that plan has something to do, or that explain or doctor has found something wrong.
	exitDifferences = 5
	// exitGone is between run and its unit: the interface was removed (SuccessExitStatus in the unit).
	exitGone = 10
)

// statusError is an error with the exit status that it ends the program with.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// fail makes an error that ends the program with this status.
func fail(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// quiet ends the program with a status and without a message, where the output has said it all.
func quiet(status int) error { return &statusError{status, errQuiet} }

var errQuiet = errors.New("")

// statusOf maps an error to its exit status. Of joined errors the first case that matches wins.
func statusOf(err error) int {
	var s *statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return s.status
	case errors.Is(err, agent.ErrDenied): // wins over a kind that is joined with it
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
