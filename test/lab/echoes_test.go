package lab

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A gap is what lies between two answered requests, and goes on until somebody answers.
func TestEchoes(t *testing.T) {
	t.Parallel()
	c := newCloud(t, Config{Interfaces: []Interface{Eth0()}})
	e, err := c.Client().Echoes(EIP1, Ping{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	if err := e.Alive(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.DisassociateEIP(EIP1); err != nil {
		t.Fatal(err)
	}
	e.Longest()
	silent, end := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer end()
	if err := e.Alive(silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while nobody answers: %v", err)
	}
	if err := c.AssociateEIP(Eth0().Addrs4[0], EIP1); err != nil {
		t.Fatal(err)
	}
	if err := e.Alive(ctx); err != nil {
		t.Fatal(err)
	}
	if gap := e.Longest(); gap < 200*time.Millisecond {
		t.Errorf("300 ms of silence were a gap of %s", gap)
	}
}
