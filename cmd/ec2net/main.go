// Command ec2net makes every network interface of a cloud instance answer by itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out, err := newOutput(ctx, os.Stdout), newOutput(ctx, os.Stderr)
	status := execute(ctx, os.Args, streams{os.Stdin, out, err})
	err.finish()
	os.Exit(status)
}
