package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/spf13/cobra"
)

// call is a request to a running lab: one JSON value on a connection, answered by one answer.
type call struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// errNotUp says that no lab of that name runs.
var errNotUp = errors.New("no lab is up; start one with \"ec2net-lab up\"")

// dial connects to a running lab.
func (p place) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.socket())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w (looked at %s)", errNotUp, p.socket())
	}
	if err != nil {
		return nil, fmt.Errorf("reach the lab: %w", err)
	}
	return conn, nil
}

// ask calls a verb of a running lab and decodes its answer into value, which may be nil.
func (p place) ask(ctx context.Context, verb string, args, value any) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(call{verb, raw}); err != nil {
		return fmt.Errorf("ask the lab: %w", err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the lab did not answer (see %s): %w", p.log(), err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(a.Value, value)
}

// askLab is ask for a command.
func askLab(cmd *cobra.Command, verb string, args, value any) error {
	p, err := findPlace(labName(cmd))
	if err != nil {
		return err
	}
	return p.ask(cmd.Context(), verb, args, value)
}
