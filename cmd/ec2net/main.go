// Command ec2net makes every network interface of a cloud instance answer by itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build (-ldflags -X main.version=…); --version and doctor's JSON show it.
var version = "dev"

// main ends the context at the first SIGINT or SIGTERM. Every wait of the program ends with it, so a second signal is
// never needed. systemd stops a unit with SIGTERM.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out, err := newOutput(ctx, os.Stdout), newOutput(ctx, os.Stderr)
	status := execute(ctx, os.Args, streams{os.Stdin, out, err})
	err.finish()
	os.Exit(status)
}
