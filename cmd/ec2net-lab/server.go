package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Descriptors that the server inherits from "up".
const (
	fdListener = 3
	fdDir      = 4 // the socket's directory, which the server's own mounts may hide
	fdReady    = 5 // told once: nothing for success, else what went wrong
)

// order is what "up" wants built. It travels as an argument of "serve".
type order struct {
	Name     string
	Cloud    string
	Socket   string // file name within the directory
	RPFilter int
	DAD      bool
	NoEth1   bool
}

// server holds a lab.
type server struct {
	cloud   *lab.Cloud
	started time.Time
	down    context.CancelFunc

	mu        sync.Mutex
	squatters map[int]*squatter
	last      int
}

type squatter struct {
	*lab.Squatter
	Interface, Addr string
}

// serveCommand is what "up" starts in the background.
func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve ORDER", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var o order
			if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
				return fmt.Errorf("this command is for \"ec2net-lab up\" alone: %w", err)
			}
			return serve(cmd.Context(), o)
		},
	}
}

func serve(ctx context.Context, o order) error {
	ready := os.NewFile(fdReady, "ready")
	ctx, down := context.WithCancel(ctx)
	defer down()
	s, err := newServer(o, down)
	if err != nil {
		_, _ = fmt.Fprint(ready, err)
		return errors.Join(err, ready.Close())
	}
	defer unix.Unlinkat(fdDir, o.Socket, 0)
	l, err := net.FileListener(os.NewFile(fdListener, "control"))
	if err != nil {
		_, _ = fmt.Fprint(ready, err)
		return errors.Join(err, ready.Close(), s.cloud.Close())
	}
	if err := ready.Close(); err != nil {
		return err
	}
	s.accept(ctx, l)
	return s.cloud.Close()
}

// config is the cloud that is ordered.
func (o order) config() (lab.Config, error) {
	cfg := lab.Provider(o.Cloud).Machine()
	if o.NoEth1 && cfg.Interfaces[0].Name == "eth1" {
		return cfg, fmt.Errorf("--no-eth1 is for EC2: on %s eth1 is the interface that the machine was made with", o.Cloud)
	}
	if o.NoEth1 {
		cfg.Interfaces = cfg.Interfaces[:1]
	}
	cfg.RPFilter, cfg.DAD = o.RPFilter, o.DAD
	return cfg, nil
}

func newServer(o order, down context.CancelFunc) (*server, error) {
	if _, err := lab.Isolate(); err != nil {
		return nil, err
	}
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	cloud, err := lab.New(cfg)
	if err != nil {
		return nil, err
	}
	return &server{cloud: cloud, started: time.Now(), down: down, squatters: map[int]*squatter{}}, nil
}

// accept answers calls until the lab is taken down.
func (s *server) accept(ctx context.Context, l net.Listener) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		calls.Add(1)
		go func() {
			defer calls.Done()
			defer conn.Close()
			s.serve(ctx, conn)
		}()
	}
}

// serve answers one call. A caller that says nothing for long is hung up on.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // a closed connection says so below
	var c call
	if err := json.NewDecoder(conn).Decode(&c); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var a answer
	value, err := s.handle(ctx, c)
	if err == nil {
		a.Value, err = json.Marshal(value)
	}
	if err != nil {
		a = answer{Error: err.Error()}
	}
	_ = json.NewEncoder(conn).Encode(a) // the caller may have gone
	if c.Verb == "down" && err == nil {
		s.down()
	}
}

// handle finds the verb and decodes its arguments.
func (s *server) handle(ctx context.Context, c call) (any, error) {
	verb, ok := verbs()[c.Verb]
	if !ok {
		return nil, fmt.Errorf("the running lab does not know %q; is it of another version?", c.Verb)
	}
	return verb(ctx, s, c.Args)
}
